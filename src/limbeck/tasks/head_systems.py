"""The systems of a run with a head, with the stages of each and their sequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from limbeck.recipes.catalogue import build_recipe
from limbeck.stages.stage import Stage
from limbeck.tasks.baselines import MAIN, STUDENT_INIT, TEACHER, system_of
from limbeck.tasks.head_coder import Coded
from limbeck.tasks.head_context import HeadContext
from limbeck.tasks.planned_stages import planned_stages
from limbeck.tasks.task import PlannedStage, System

__all__ = ["sequences_of", "systems_of"]


def systems_of(context: HeadContext, seed: int) -> list[System]:
    """Return the teacher with the first seed, the student before training, and all that are trained from it."""
    config, total, recipes = context.config, _budget(context), context.recipes
    copied = config.student.of_teacher
    found = [System(STUDENT_INIT, "student_init", title="Student before training", copied=copied)]
    if seed == config.seeds[0] and (context.teacher is not None or context.coder.answers("test") is not None):
        teacher = System(TEACHER, "teacher", title="Teacher")
        found.insert(0, replace(teacher, stages=tuple(_of_teacher(context, teacher, seed))))
    for name, recipe in recipes.items():
        # The folders of a baseline do not depend on the other baselines.
        number = 2 if name == MAIN else 2 + len(recipes[MAIN].build().stages)
        system = system_of(name, recipe, config.recipe)
        planned = planned_stages(config, system, recipe.build().stages, total, seed=seed, number=number)
        found.append(replace(system, stages=tuple(planned)))
    return found


def _of_teacher(context: HeadContext, teacher: System, seed: int) -> Iterator[PlannedStage]:
    training = context.config.teacher.fine_tune
    if training is not None:
        stages = build_recipe("fine_tune", {}, context.config.recipe.kind).stages
        assert context.teacher is not None
        total = training.total_steps(len(sequences_of(context, stages[0], context.teacher.train, taught=False)))
        yield from planned_stages(context.config, teacher, stages, total, seed=seed, number=1)


def _budget(context: HeadContext) -> int:
    """Return the optimiser steps of every student: passes over the sequences of the main recipe's rows."""
    stages, coded = context.recipes[MAIN].build().stages, context.student.train
    widest = max((sequences_of(context, stage, coded, taught=True) for stage in stages), key=len)
    return context.config.training.total_steps(len(widest))


def sequences_of(context: HeadContext, stage: Stage, coded: Coded, *, taught: bool) -> NDArray[np.int64]:
    """Return the sequences of a stage: of all rows, of labelled ones, or of those with a teacher's answer."""
    picked_N = np.ones(len(context.rows.train.texts), dtype=np.bool_)
    if stage.labelled_only:
        picked_N = context.rows.train.labelled_N
    elif taught:
        picked_N = context.taught_N
    return np.flatnonzero(picked_N[coded.row_of])
