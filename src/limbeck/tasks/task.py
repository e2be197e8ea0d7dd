"""What a kind of task gives to a run: the protocols between `limbeck.runs.flow` and the folders of this package.

A run is a list of systems, each with a start and stages. `Task` reads the rows, `TaskRun` knows the models and encoded
rows of one run. Both return data; no kind inherits from another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from limbeck.evaluation.measured import Measured
from limbeck.results.record import Results, StageCost
from limbeck.stages.pipeline import StageRun
from limbeck.stages.stage import Stage, Training
from limbeck.tasks.finding import Finding, InFolder
from limbeck.tasks.memory import MemoryPlan
from limbeck.tasks.options import Options
from limbeck.types import Progress

__all__ = ["Part", "PlannedStage", "Role", "RunRows", "Student", "System", "Task", "TaskRun", "predicting"]

Role = Literal["teacher", "student_init", "main", "baseline"]
"""``student_init`` is the student before any training."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage with its share of the budget, and the folder that keeps it."""

    stage: Stage
    steps: int
    """Optimiser steps."""
    folder: str
    """Under ``stages/`` of the run folder. Systems whose stages share a folder share its weights."""
    training: Training
    title: str
    """What the bar says."""


@dataclass(frozen=True)
class System:
    """One row of the report: a model, and how it comes to be."""

    name: str
    """In folders and records."""
    role: Role
    stages: tuple[PlannedStage, ...] = ()
    budget: int | None = None
    """Target labels that it may read, where a run compares budgets."""
    title: str = ""
    """In the report."""
    recipe: str | None = None
    """Key of the recipe that trains it, if one does."""
    control: bool = False
    """Whether it is trained on labels or completions alone, without a teacher."""


@dataclass(frozen=True)
class Part:
    """A step of a run that has a bar."""

    title: str
    items: int
    cost: float
    """Of an item, in a unit that all parts share: roughly, parameters that are gone through."""
    kind: str
    """Parts of one kind take the same time for the same cost."""

    @classmethod
    def training(cls, title: str, steps: int, *, rows: int, parameters: int, writes: bool = False) -> Part:
        """Return a part of optimiser steps over so many rows each: forward, and twice as much backward."""
        return cls(title, steps, 3.0 * rows * parameters, "training on texts it writes" if writes else "training")

    @classmethod
    def reading(cls, title: str, rows: int, *, parameters: int, writes: bool = False) -> Part:
        """Return a part in which a model reads rows, and may answer them."""
        return cls(title, rows, float(parameters), "writing" if writes else "reading")


def predicting(system: str) -> str:
    """Return what the bar says while a system answers the held-out rows."""
    return f"predicting: {system.replace('_', ' ')}"


class RunRows(Protocol):
    """Checked rows of a run."""

    @property
    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of each set of rows, by its name."""


class TaskRun(Protocol):
    """One run at work: its models, its encoded rows, and what it found out so far."""

    progress: Progress
    costs: dict[str, StageCost]
    """What each stage took, by its folder, in order; passes of the teacher have names of their own."""

    def systems(self, seed: int) -> Sequence[System]:
        """Return the systems of a seed, each after what it starts from; a teacher of all seeds with the first."""

    def parts(self, system: System, seed: int) -> Sequence[Part]:
        """Return what has a bar while `system` is trained and measured, in order."""

    def model(self, system: System, seed: int) -> Any:
        """Return the model that a system starts as, on its device; the same for the same seed."""

    def stage(self, system: System, planned: PlannedStage, seed: int, model: Any) -> StageRun:
        """Return all that a stage needs besides itself: rows in order, batches, the teacher."""

    def measure(self, system: System, seed: int, model: Any) -> None:
        """Let a system answer the held-out rows, or read what an earlier start of this run kept of it."""

    def score(self, system: System, seed: int, model: Any) -> Measured:
        """Return what is measured of a system that is tried, alone, on the development rows; in the main process."""

    def export(self, part: Path) -> None:
        """Write the student into an empty folder; in the main process alone, as what follows."""

    def compare(self, command: str) -> Results:
        """Return the results of the run, after `export`; `command` makes it again."""


class Student(Protocol):
    """A saved student at work. Weights are loaded with the first rows; `limbeck.tasks.options` checks options."""

    @property
    def students(self) -> str:
        """What such students are called in messages: "students that write"."""

    @property
    def predict_options(self) -> type[Options]:
        """The options of `rows` and `predict`."""

    @property
    def evaluate_options(self) -> type[Options]:
        """The options of `evaluate`."""

    def rows(self, file: str, options: Any) -> Iterator[Any]:
        """Yield checked rows of a file, or of standard input (``-``) as they come. Raises `DataError`."""

    def predict(self, rows: Any, options: Any) -> Iterator[dict[str, Any]]:
        """Yield an answer for each row, ready for JSON, a batch behind the rows. Raises `LimbeckError`."""

    def evaluate(self, data: str, options: Any, progress: Progress) -> Results:
        """Return the figures of the student on held-out rows. Raises `LimbeckError`."""


class Task(Protocol):
    """A kind of task: the value of ``task.kind`` in a run file."""

    def settle(self, config: Any, folder: Path) -> Any:
        """Return the run with what holds for its whole life filled in, such as today's date in prompts."""

    def read(self, config: Any, folder: Path | None) -> RunRows:
        """Return checked rows. `folder` takes rows in quarantine; ``None`` writes nothing. Raises `LimbeckError`."""

    def open(self, config: Any, rows: Any, folder: Path, progress: Progress) -> TaskRun:
        """Load models, and check that they can do the run before any time is spent. Raises `LimbeckError`."""

    def examine(self, config: Any, progress: Progress, in_folder: InFolder) -> list[Finding]:
        """Return what the doctor finds: rows, models, lengths, losses, time. Nothing is trained or written."""

    def plan(self, config: Any, available: float | None) -> MemoryPlan:
        """Return the memory that each part of a run needs. Raises `LimbeckError`.

        Args:
            config: the run.
            available: bytes that there are; ``None``: as many as the device has.
        """

    def fill_store(self, config: Any, progress: Progress) -> tuple[int, float]:
        """Ask the teacher about all training rows once, and keep what it says.

        Returns:
            How many rows were added, and the mean share of probability that was kept of each.

        Raises:
            LimbeckError: as `open`; `ConfigError` where runs of this kind have no store.
        """

    def card(self, config: Any, results: Results, student: Path) -> str:
        """Return the model card of the student in a folder, as Markdown."""

    def load(self, model: str) -> Student:
        """Return a saved student of this kind: the folder that a run wrote, or any model that can do the same."""
