"""The systems of a run with a head: which there are, by which stages each is trained, and on which sequences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from limbeck.recipes.catalogue import build_recipe
from limbeck.sequences.given import GivenRows
from limbeck.stages.pipeline import stage_title
from limbeck.stages.stage import Stage, Training
from limbeck.tasks.baselines import MAIN, STUDENT_INIT, TEACHER, system_of
from limbeck.tasks.head_coder import Coded
from limbeck.tasks.head_context import HeadContext
from limbeck.tasks.task import PlannedStage, System

__all__ = ["sequences_of", "systems_of"]


def systems_of(context: HeadContext, seed: int) -> list[System]:
    """Return the teacher with the first seed, the student before training, and all that are trained from it."""
    config = context.config
    found = [System(STUDENT_INIT, "student_init", title="Student before training")]
    if seed == config.seeds[0] and (context.teacher is not None or context.coder.answers("test") is not None):
        found.insert(0, System(TEACHER, "teacher", tuple(_of_teacher(context, seed)), title="Teacher"))
    number, total = 2, _budget(context)
    for name, recipe in context.recipes.items():
        stages = recipe.build().stages
        planned = tuple(_planned(context, name, stages, total, seed, number))
        described = system_of(name, recipe, config.recipe)
        found.append(
            System(name, described.role, planned, title=described.title, recipe=recipe.key, control=described.control)
        )
        number += len(stages)
    return found


def _of_teacher(context: HeadContext, seed: int) -> Iterator[PlannedStage]:
    training = context.config.teacher.fine_tune
    if training is not None:
        stages = build_recipe("fine_tune", {}, context.config.recipe.kind).stages
        assert context.teacher is not None
        total = training.total_steps(len(sequences_of(context, stages[0], context.teacher.train, taught=False)))
        yield from _planned(context, TEACHER, stages, total, seed, 1, training)


def _budget(context: HeadContext) -> int:
    """Optimiser steps of every student: passes over the sequences of the main recipe's rows."""
    stages, coded = context.recipes[MAIN].build().stages, context.student.train
    widest = max((sequences_of(context, stage, coded, taught=True) for stage in stages), key=len)
    return context.config.training.total_steps(len(widest))


def _planned(
    context: HeadContext,
    system: str,
    stages: Sequence[Stage],
    total: int,
    seed: int,
    number: int,
    training: Training | None = None,
) -> Iterator[PlannedStage]:
    """Split a budget by the stages' shares; the parts add up to `total`, the budget of every system."""
    ends = [round(total * sum(stage.share for stage in stages[: i + 1])) for i in range(len(stages))]
    for index, (stage, start, end) in enumerate(zip(stages, [0, *ends], ends, strict=False), start=number):
        yield PlannedStage(
            stage,
            steps=end - start,
            folder=f"{index:02d}-{system}-{stage.name}-seed{seed}",
            training=training or context.config.training,
            title=stage_title(stage, system, seed if len(context.config.seeds) > 1 else None),
        )


def sequences_of(context: HeadContext, stage: Stage, coded: Coded, *, taught: bool) -> NDArray[np.int64]:
    """Return the sequences of a stage: of all rows, of labelled ones, or of those with a teacher's answer."""
    picked_N = np.ones(len(context.rows.train.texts), dtype=np.bool_)
    if stage.source == GivenRows("labelled"):
        picked_N = context.rows.train.labelled_N
    elif taught:
        picked_N = context.taught_N
    return np.flatnonzero(picked_N[coded.row_of])
