"""The protocols between `limbeck.runs.flow` and the kinds of task in this package.

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

Role = Literal["teacher", "student_init", "main", "baseline", "simple"]
"""``student_init`` is the student before any training; ``simple`` is fitted in seconds and has no model or stages."""


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
    """Title of the progress bar."""


@dataclass(frozen=True)
class System:
    """One row of the report: a model, and how it is made."""

    name: str
    """Name in folders and records."""
    role: Role
    stages: tuple[PlannedStage, ...] = ()
    budget: int | None = None
    """Target labels that it may use, if a run compares budgets."""
    title: str = ""
    """Title in the report."""
    recipe: str | None = None
    """Key of its recipe, if it has one."""
    control: bool = False
    """Whether it is trained on labels or completions alone, without a teacher."""
    copied: bool = False
    """Whether it is made of layers of the trained teacher, and not trained since."""
    trial: str = ""
    """What a search tries it with, for the titles of bars."""

    @property
    def shown(self) -> str:
        """Its name in the titles of bars: trials of one system are told apart."""
        return f"{self.name}, {self.trial}" if self.trial else self.name


@dataclass(frozen=True)
class Part:
    """A step of a run that has a bar."""

    title: str
    items: int
    cost: float
    """Cost per item, in a unit common to all parts: roughly, parameters passed through."""
    kind: str
    """Parts of one kind take the same time for the same cost."""

    @classmethod
    def training(cls, title: str, steps: int, *, rows: int, parameters: int, writes: bool = False) -> Part:
        """Return a part of optimiser steps over `rows` rows each: forward, and twice as much backward."""
        return cls(title, steps, 3.0 * rows * parameters, "training on texts it writes" if writes else "training")

    @classmethod
    def reading(cls, title: str, rows: int, *, parameters: int, writes: bool = False) -> Part:
        """Return a part in which a model reads rows, and may answer them."""
        return cls(title, rows, float(parameters), "writing" if writes else "reading")


def predicting(system: str) -> str:
    """Return the title of the bar while a system answers the held-out rows."""
    return f"predicting: {system.replace('_', ' ')}"


class RunRows(Protocol):
    """Checked rows of a run."""

    @property
    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of each set of rows, by its name."""


class TaskRun(Protocol):
    """One run: its models, its encoded rows, and its results so far."""

    progress: Progress
    costs: dict[str, StageCost]
    """Cost of each stage, by its folder, in order; passes of the teacher have their own names."""

    def systems(self, seed: int) -> Sequence[System]:
        """Return the systems of a seed, each after its starting point; a teacher of all seeds with the first."""

    def parts(self, system: System, seed: int) -> Sequence[Part]:
        """Return the parts with a bar while `system` is trained and measured, in order."""

    def model(self, system: System, seed: int) -> Any:
        """Return a system's model before training, on its device; the same for the same seed."""

    def stage(self, system: System, planned: PlannedStage, seed: int, model: Any) -> StageRun:
        """Return the inputs of a stage: rows in order, batches, the teacher."""

    def measure(self, system: System, seed: int, model: Any) -> None:
        """Answer the held-out rows with a system, or read the answers kept by an earlier start of this run."""

    def score(self, system: System, seed: int, model: Any) -> Measured:
        """Measure a trial on the development rows; in the main process."""

    def export(self, part: Path) -> None:
        """Write the student into an empty folder; only in the main process, like what follows."""

    def compare(self, command: str) -> Results:
        """Return the results of the run, after `export`; `command` reproduces it."""


class Student(Protocol):
    """A saved student. Weights are loaded with the first rows; `limbeck.tasks.options` checks options."""

    @property
    def students(self) -> str:
        """The word for such students in messages: "generative students"."""

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
        """Fill in values that are fixed at the start of a run, such as today's date in prompts."""

    def read(self, config: Any, folder: Path | None) -> RunRows:
        """Return checked rows. `folder` is for rows in quarantine; ``None`` writes nothing. Raises `LimbeckError`."""

    def open(self, config: Any, rows: Any, folder: Path, progress: Progress) -> TaskRun:
        """Load models, and check early that they suit the run. Raises `LimbeckError`."""

    def examine(self, config: Any, progress: Progress, in_folder: InFolder) -> list[Finding]:
        """Return the doctor's findings on rows, models, lengths, losses and time. Nothing is trained or written."""

    def plan(self, config: Any, available: float | None) -> MemoryPlan:
        """Return the memory that each part of a run needs. Raises `LimbeckError`.

        Args:
            config: the run.
            available: available bytes; ``None``: those of the device.
        """

    def fill_store(self, config: Any, progress: Progress) -> tuple[int, float]:
        """Run the teacher over all training rows once, and keep its outputs.

        Returns:
            The number of added rows, and the mean kept share of probability.

        Raises:
            LimbeckError: as `open`; `ConfigError` if runs of this kind have no store.
        """

    def card(self, config: Any, results: Results, student: Path) -> str:
        """Return the model card of the student in a folder, as Markdown."""

    def load(self, model: str) -> Student:
        """Return a saved student of this kind: the folder that a run wrote, or any equivalent model."""
