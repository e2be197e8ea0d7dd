"""The shared context of a run with a head: teacher and student, and the rows encoded for each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.encode import token_limit
from limbeck.errors import ConfigError
from limbeck.losses.term import needs_of
from limbeck.models.layers import shapes
from limbeck.models.load import load_classifier, load_tokenizer
from limbeck.models.padding import padding_of, share_padding
from limbeck.models.pooled_classifier import pooling_in
from limbeck.models.trials import require_probes, require_taps
from limbeck.stages.unfreezing import require_trainable
from limbeck.students.adapters import add_adapter
from limbeck.students.initialise import copies_note
from limbeck.students.pruning.importance import Importance
from limbeck.tasks.baselines import all_stages, trained
from limbeck.tasks.head_coder import Coded, Coder
from limbeck.tasks.head_config import HeadRunConfig
from limbeck.tasks.head_rows import HeadRows
from limbeck.tasks.new_student import has_pairs, new_student, student_tokenizer, wanted_pooling
from limbeck.tasks.run_config import NamedRecipe
from limbeck.types import Progress

__all__ = ["HeadContext", "UsedModel", "make_student", "open_context"]


@dataclass(frozen=True)
class UsedModel:
    """A model of the run, and the rows encoded for it."""

    model: Any
    tokenizer: Any
    train: Coded
    test: Coded


@dataclass(frozen=True)
class HeadContext:
    """The shared context of all systems of a run."""

    config: HeadRunConfig
    coder: Coder
    rows: HeadRows[Any]
    folder: Path
    teacher: UsedModel | None
    """``None``: its answers come with the rows."""
    student: UsedModel
    """The first seed's student, before training."""
    max_length: int
    """Longest sequence of the student, in tokens."""

    @property
    def same_tokens(self) -> bool:
        """Whether teacher and student read the training rows as the same token ids, at the same positions."""
        assert self.teacher is not None
        teacher, student = self.teacher.train.inputs, self.student.train.inputs
        return teacher.fingerprint() == student.fingerprint() and teacher.pad_left == student.pad_left

    @property
    def recipes(self) -> dict[str, NamedRecipe]:
        """The recipes of all trained students, by the names of their systems, the main one first."""
        return trained(self.config.recipes(), self.rows.labelled)

    @property
    def taught_N(self) -> NDArray[np.bool_]:
        """Which training rows the teacher has an answer for."""
        train = self.rows.train
        return train.taught_N if self.teacher is None else np.ones(len(train.texts), dtype=np.bool_)


def open_context(
    config: HeadRunConfig, coder: Coder, rows: HeadRows[Any], folder: Path, progress: Progress
) -> HeadContext:
    """Load the models, check that they suit the run, and tokenise all rows.

    Raises:
        LimbeckError: a model cannot be loaded, or does not fit the task, the rows or the recipe.
    """
    counts = rows.counts
    progress.log(f"{counts['train']} training rows ({counts['labelled']} labelled), {counts['test']} held-out rows")
    teacher = _start_teacher(config, coder)
    tokenizer = student_tokenizer(config.student, teacher[1] if teacher else None)
    student = make_student(config, coder, teacher[0] if teacher else None, tokenizer, config.seeds[0])
    if (note := copies_note(student)) is not None:
        progress.log(note)
    limit = token_limit(tokenizer, student, config.training.max_length)
    coder.start(tokenizer, [student, *([teacher[0]] if teacher else [])])
    of_student = _coded(coder, student, tokenizer, limit)
    of_teacher = None
    if teacher is not None:
        limit_of_teacher = min(limit, token_limit(teacher[1], teacher[0], config.training.max_length))
        of_teacher = _coded(coder, *teacher, limit_of_teacher)
    context = HeadContext(config, coder, rows, folder, of_teacher, of_student, limit)
    _require_fitting(context)
    return context


def _coded(coder: Coder, model: Any, tokenizer: Any, limit: int) -> UsedModel:
    padding = padding_of(model, tokenizer)
    train, test = (coder.encode(split, tokenizer, limit, padding) for split in ("train", "test"))
    return UsedModel(model, tokenizer, train, test)


def _start_teacher(config: HeadRunConfig, coder: Coder) -> tuple[Any, Any] | None:
    import torch

    teacher = config.teacher
    if teacher.model is None:
        return None
    torch.manual_seed(config.seeds[0])  # a pretrained encoder gets a new head
    tokenizer = load_tokenizer(teacher.model, trust_remote_code=teacher.trust_remote_code)
    trained_already = teacher.fine_tune is None
    model = load_classifier(
        teacher.model,
        labels=None if trained_already else coder.outputs,
        head=coder.head,
        pooling=wanted_pooling(teacher.pooling),
        trust_remote_code=teacher.trust_remote_code,
    )
    if trained_already:
        coder.require(model, f"teacher {teacher.model}")
    coder.call(model)
    padding_of(model, tokenizer, trained=trained_already)
    return model, tokenizer


def make_student(
    config: HeadRunConfig, coder: Coder, teacher: Any, tokenizer: Any, seed: int, importance: Importance | None = None
) -> Any:
    """Return the untrained student, with its head and its adapter; the same for the same seed.

    `importance` is that of the units of a teacher that is pruned; ``None``: only the student's shape matters.

    Raises:
        ConfigError, ModelError: a layer map out of range, a configuration, model or adapter that does not fit.
    """
    import torch

    torch.manual_seed(seed)
    pooling = wanted_pooling(config.student.pooling)
    model = new_student(
        config.student,
        teacher,
        coder.outputs,
        tokenizer,
        head=coder.head,
        pooling=pooling,
        pairs=has_pairs(config.task),
        importance=importance,
    )
    if config.student.of_teacher and pooling in (None, pooling_in(teacher)):  # the head is copied too
        coder.begin(model, teacher)
    coder.call(model)
    share_padding(model, tokenizer)
    adapter = config.student.adapter
    return model if adapter is None else add_adapter(model, adapter)


def _require_fitting(context: HeadContext) -> None:
    """Refuse recipes that compare states of models with different tokens, or states that a model does not give.

    Also a teacher that is to be pruned by its loss on gold answers, if there are none.

    Raises:
        ConfigError, ModelError: as said; or widths, heads or depths of the models do not fit.
    """
    teacher, student = context.teacher, context.student.model
    require_trainable(student, (stage.trains for stage in all_stages(context.recipes)))
    if teacher is None:
        return
    if context.config.student.pruned is not None and not context.rows.labelled:
        raise ConfigError(
            "student.pruned: the importance of the teacher's units is measured by its loss on gold answers, and no "
            "training row has one. Use student.from_teacher (whole layers), or label some rows"
        )
    for recipe in context.recipes.values():
        terms = (stage.bound(shapes(teacher.model, student)) for stage in recipe.build().stages)
        needs = reduce(or_, map(needs_of, terms))
        if needs.teacher_inside and not context.same_tokens:
            raise ConfigError(
                f"recipe '{recipe.name}' compares teacher and student token by token, but their tokenizers write "
                "these rows with different ids. Use a student with its tokenizer (student.from_teacher), or kd"
            )
        require_taps(student, needs.student_taps)
        require_taps(teacher.model, needs.teacher_taps)
        require_probes(student, needs.student_probes, trained=True)
        require_probes(teacher.model, needs.teacher_probes, trained=False)
