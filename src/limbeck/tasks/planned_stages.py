"""The stages of a system, with their parts of the budget and their folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from limbeck.errors import ConfigError
from limbeck.evaluation.verdicts.outcome import in_prose
from limbeck.stages.pipeline import stage_title
from limbeck.stages.stage import Stage, Training
from limbeck.tasks.task import PlannedStage, System

__all__ = ["planned_stages", "split_budget"]


def split_budget(stages: Sequence[Stage], total: int) -> list[int]:
    """Return the optimiser steps of each stage by its share; they add up to `total` times the sum of the shares."""
    ends = [round(total * sum(stage.share for stage in stages[: place + 1])) for place in range(len(stages))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def planned_stages(
    config: Any, system: System, stages: Sequence[Stage], total: int, *, seed: int, number: int
) -> Iterator[PlannedStage]:
    """Split a budget by the stages' shares; the parts add up to `total`, the budget of every system.

    Args:
        config: the run, with its seeds and the training of teacher and students.
        system: which the stages train.
        stages: of its recipe.
        total: optimiser steps.
        seed: of the training.
        number: of the first stage's folder.

    Raises:
        ConfigError: a stage that trains what a later one goes on with gets no step.
    """
    of_teacher = system.role == "teacher"
    training: Training = config.teacher.fine_tune if of_teacher else config.training
    for index, (stage, steps) in enumerate(zip(stages, split_budget(stages, total), strict=True), start=number):
        if not (stage.trains_student or steps):
            raise ConfigError(
                f"stage '{stage.name}' of recipe '{system.recipe}' gets none of the {total} optimiser steps, and a "
                "later one goes on with what it trains: raise training.max_steps, or its share in the recipe"
            )
        yield PlannedStage(
            stage,
            steps=steps,
            folder=f"{index:02d}-{system.name}-{stage.name}-seed{seed}",
            training=stage.training(training),
            title=stage_title(stage, in_prose(system.title), None if of_teacher or len(config.seeds) == 1 else seed),
        )
