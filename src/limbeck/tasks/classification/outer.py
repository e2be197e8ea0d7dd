"""Stages that train the teacher too: their quiz rows, the teacher's copy, and what both models must allow."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.encode import Encoded
from limbeck.errors import DataError
from limbeck.models.trials import require_second_derivatives
from limbeck.ranks import ranks
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.quiz import Quiz, set_aside
from limbeck.stages.outer_loop import BiLevel, require_outer_loop
from limbeck.stages.stage import Stage
from limbeck.stages.teacher_training import TeacherTraining
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.context import Context, ModelTeacher
from limbeck.tasks.classification.rows import RunRows
from limbeck.tasks.task import PlannedStage
from limbeck.types import Batch

__all__ = ["outer_of", "quiz_and_learned", "require_outer", "teacher_training"]


def outer_of(stages: Iterable[Stage]) -> BiLevel | None:
    """Return the outer loop of a system's stages; its quiz is kept from all of them."""
    return next((stage.outer for stage in stages if stage.outer is not None), None)


def quiz_and_learned(rows: RunRows, stages: Iterable[Stage], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the training rows that are a system's quiz, and those that its stages may learn: all if it has none.

    Raises:
        DataError: too few texts are labelled.
    """
    outer = outer_of(stages)
    if outer is None:
        return np.empty(0, dtype=np.int64), np.arange(len(rows.train))
    texts = list(zip(rows.train.text, rows.train.text_pair or [""] * len(rows.train), strict=True))
    return set_aside(rows.train_labels, texts, outer.quiz_fraction, seed)


def require_outer(config: RunConfig, rows: RunRows, student: Any, name: str, recipe: Recipe) -> None:
    """Check that a recipe whose stages train the teacher can do so in this run; others pass.

    Raises:
        ConfigError, DataError: a setting, the number of processes, or too few labels.
        ModelError: the student cannot be differentiated twice.
    """
    if outer_of(recipe.stages) is None:
        return
    training = config.training
    for stage in recipe.stages:
        require_outer_loop(stage, training.model_copy(update=dict(stage.settings)), ranks())
    try:
        quiz_and_learned(rows, recipe.stages, config.seeds[0])
    except DataError as error:
        raise DataError(f"recipe '{name}': {error}") from error
    require_second_derivatives(student, "the student")


def teacher_training(
    context: Context, planned: PlannedStage, quiz: NDArray[np.int64], encoded: Encoded, seed: int,
    make_batch: Callable[[NDArray[np.int64]], Batch],
) -> TeacherTraining:  # fmt: skip
    """Return what trains a copy of the teacher during a stage."""
    teacher, outer = context.teacher, planned.stage.outer
    assert outer is not None
    assert isinstance(teacher, ModelTeacher), "see capabilities"
    size = planned.training.batch_size
    rows = Quiz(quiz, encoded.lengths, size, outer.quiz_batches, planned.steps, seed)
    return TeacherTraining(copy.deepcopy(teacher.model), outer, rows, make_batch, seed)
