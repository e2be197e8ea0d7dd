"""The untrained student of a classification run: its weights, its head, its adapter."""

from __future__ import annotations

from typing import Any

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.data.prompts.scored import make_verbaliser
from limbeck.models.label_scorer import LabelScorer
from limbeck.models.load import load_config, load_language_model
from limbeck.models.padding import share_padding
from limbeck.models.problem_type import call_single_label, require_single_label
from limbeck.students.adapters import add_adapter
from limbeck.students.pruning.importance import Importance
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.new_student import copied_layers, has_pairs, new_student, wanted_pooling

__all__ = ["make_student", "student_prompt"]


def make_student(
    config: RunConfig, teacher: Any, tokenizer: Any, labels: list[str], seed: int, importance: Importance | None = None
) -> Any:
    """Return the untrained student, with its head and its adapter; the same for the same seed.

    Args:
        config: the run.
        teacher: source of copied layers; may be ``None`` if none are copied.
        tokenizer: the student's.
        labels: the labels of the task.
        seed: of the random weights.
        importance: of the units of a teacher that is pruned; ``None``: only the student's shape matters.

    Raises:
        ConfigError, ModelError: a layer map out of range, a configuration, model, prompt or adapter that does not fit.
    """
    import torch

    torch.manual_seed(seed)
    wanted = config.student
    if wanted.head == "verbaliser":
        assert wanted.model is not None
        whole = load_language_model(wanted.model, trust_remote_code=wanted.trust_remote_code)
        model = copied_layers(whole, wanted)
    else:
        model = _with_linear_head(config, teacher, tokenizer, labels, importance)
        call_single_label(model.config)
        share_padding(model, tokenizer)
    if wanted.adapter is not None:
        model = add_adapter(model, wanted.adapter)
    if wanted.head == "linear":
        return model
    fields = [field for field in (config.task.text, config.task.text_pair) if field is not None]
    explains = any(recipe.build().needs.rationales for recipe in config.recipes().values())
    return LabelScorer(model, make_verbaliser(student_prompt(config), labels, fields, tokenizer, explains=explains))


def student_prompt(config: RunConfig) -> LabelPrompt:
    """Return the prompt of a student that answers in words: its own, the teacher's, or a heading."""
    field = config.task.text_pair or config.task.text
    plain = LabelPrompt(format="none", input=f"Input: {{{{ {field} }}}}", body=field)
    return config.student.prompt or config.teacher.prompt or plain.described(config.task.descriptions)


def _with_linear_head(
    config: RunConfig, teacher: Any, tokenizer: Any, labels: list[str], importance: Importance | None
) -> Any:
    section = config.student
    if section.model is not None:
        own = load_config(section.model, trust_remote_code=section.trust_remote_code)
        if own.num_labels == 1:
            require_single_label(own, f"student.model {section.model}", "Name the encoder that it was made from")
    pooling = wanted_pooling(section.pooling)
    pairs = has_pairs(config.task)
    return new_student(section, teacher, labels, tokenizer, pooling=pooling, pairs=pairs, importance=importance)
