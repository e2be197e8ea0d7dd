"""How the student of a classification run comes to be: its tokenizer, its weights, its head, its adapter."""

from __future__ import annotations

from typing import Any

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.data.prompts.scored import make_verbaliser
from limbeck.models.label_scorer import LabelScorer
from limbeck.models.layers import depth
from limbeck.models.load import load_classifier, load_config, load_language_model, load_tokenizer
from limbeck.models.padding import share_padding
from limbeck.models.problem_type import call_single_label, require_single_label
from limbeck.numerics.layer_maps import choose_layers
from limbeck.students.adapters import add_adapter
from limbeck.students.initialise import student_from_config, student_from_layers
from limbeck.tasks.classification.config import RunConfig

__all__ = ["make_student", "student_prompt", "student_tokenizer"]


def student_tokenizer(config: RunConfig, teacher_tokenizer: Any) -> Any:
    """Return the student's own tokenizer, or the teacher's for a student made from the teacher or a configuration.

    A teacher without weights has none (``None``), and its run names a model for the student. Tokenizers of causal
    models often have no padding token; the end token then takes its place, and masks say what is real.
    """
    if config.student.model is None:
        return teacher_tokenizer
    tokenizer = load_tokenizer(config.student.model, trust_remote_code=config.student.trust_remote_code)
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def make_student(config: RunConfig, teacher: Any, tokenizer: Any, labels: list[str], seed: int) -> Any:
    """Return the untrained student, with its head and its adapter; the same for the same seed.

    Args:
        config: the run.
        teacher: whose layers are copied; may be ``None`` where none are.
        tokenizer: the student's.
        labels: the task's.
        seed: of the random weights.

    Raises:
        ConfigError, ModelError: a layer map out of range, a configuration, model, prompt or adapter that does not fit.
    """
    import torch

    torch.manual_seed(seed)
    wanted = config.student
    if wanted.head == "verbaliser":
        assert wanted.model is not None
        model = load_language_model(wanted.model, trust_remote_code=wanted.trust_remote_code)
    else:
        model = _with_linear_head(config, teacher, tokenizer, labels)
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
    """Return what a student that answers in words puts a text into: its own prompt, the teacher's, or a heading."""
    field = config.task.text_pair or config.task.text
    plain = LabelPrompt(format="none", input=f"Input: {{{{ {field} }}}}", body=field)
    return config.student.prompt or config.teacher.prompt or plain.described(config.task.descriptions)


def _with_linear_head(config: RunConfig, teacher: Any, tokenizer: Any, labels: list[str]) -> Any:
    student = config.student
    if student.from_teacher is not None:
        chosen = choose_layers(
            student.from_teacher.layers, teacher_layers=depth(teacher), keep=student.from_teacher.keep
        )
        return student_from_layers(teacher, chosen)
    if student.model is not None:
        own = load_config(student.model, trust_remote_code=student.trust_remote_code)
        if own.num_labels == 1:
            require_single_label(own, f"student.model {student.model}", "Name the encoder that it was made from")
        return load_classifier(student.model, labels=labels, trust_remote_code=student.trust_remote_code)
    assert student.config is not None
    return student_from_config(student.config, labels, pad_id=tokenizer.pad_token_id)
