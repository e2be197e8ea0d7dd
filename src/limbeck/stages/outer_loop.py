"""An outer loop around a stage: what happens before each optimiser step, on the rows that it is about to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from limbeck.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.losses.objective import Objective
    from limbeck.stages.stage import Stage, Training
    from limbeck.types import Batch

__all__ = ["BiLevel", "OuterLoop", "require_outer_loop"]


class OuterLoop(Protocol):
    """Changes what a step is taught before the student takes it."""

    def before_step(
        self, step: int, objective: Objective, batches: Sequence[Batch], counts: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Act before the step that follows `step` others, and return what to log, by name.

        It leaves the student's weights and the state of random numbers as they are.

        Args:
            step: optimiser steps that are done.
            objective: the student and its terms.
            batches: the step's micro-batches, without signals.
            counts: what counts for each term in them.
        """

    def save(self, folder: Path) -> None:
        """Write what later steps depend on into the folder of a checkpoint."""

    def load(self, folder: Path) -> None:
        """Continue from what `save` wrote."""


@dataclass(frozen=True)
class BiLevel:
    """The teacher is trained too, so that the student after its next step does better on a quiz (MetaDistil).

    Before each step, with the student's loss L of the batch x, its weights w and the teacher's weights t:

    1. pilot: ``w'(t) = w - pilot_learning_rate * dL(x; w, t)/dw``;
    2. the teacher steps along ``d CE(quiz; w'(t))/dt`` with an AdamW of its own;
    3. w' is dropped, and the student learns x from the new teacher.

    The quiz are labelled rows that no stage of the system trains on. The teacher is a copy: other systems learn from
    the one they had.

    Reference: Zhou et al. 2022, "BERT Learns to Teach", arXiv:2106.04570, algorithm 1.
    """

    quiz_fraction: float = 0.1
    """Share of the labelled training rows that are the quiz."""
    quiz_batches: int = 1
    """Batches of quiz rows at each step; 0: all of them."""
    teacher_learning_rate: float = 1e-5
    """At the first step; it falls linearly to 0."""
    pilot_learning_rate: float = 5e-5
    """Of the step that is tried, by plain gradient descent; always the same."""


def require_outer_loop(stage: Stage, training: Training, devices: int = 1) -> None:
    """Check that a stage with an outer loop can be run as the settings say.

    Args:
        stage: the stage; one without an outer loop passes.
        training: its settings.
        devices: number of processes.

    Raises:
        ConfigError: names the setting.
    """
    if stage.outer is None:
        return
    why = f"stage '{stage.name}' trains the teacher through a step of the student, which needs"
    if training.micro_batch_size not in (None, training.batch_size):
        raise ConfigError(
            f"training.micro_batch_size: {why} the gradient of all {training.batch_size} rows at once, not of "
            f"{training.micro_batch_size}. Leave it out, and lower batch_size if memory is short"
        )
    if devices > 1:
        raise ConfigError(f"{why} one process, and this run has {devices}: start it without a launcher")
    if training.precision != "float32":
        raise ConfigError(f"training.precision: {why} second derivatives, in float32 and not {training.precision}")
    taught = [t for t in stage.terms if t.weight > 0 and t.term.needs.teacher]
    if not taught:
        raise ConfigError(f"{why} a term on the teacher, and none has a weight above 0")
    for t in taught:
        if not t.term.reaches_teacher:
            raise ConfigError(
                f"{why} terms whose gradient reaches the teacher, and that of '{t.name}' ({type(t.term).__name__}) "
                "does not. Use OutputDistance or PatientHints with reaches_teacher=True"
            )
