"""The `limbeck.tasks.task.Task` of all kinds whose models have a head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limbeck.errors import ConfigError
from limbeck.models.load import hub_name, reader_of
from limbeck.report.use import Use
from limbeck.results.record import Results
from limbeck.tasks.finding import Finding, InFolder
from limbeck.tasks.head_checks import examine_heads
from limbeck.tasks.head_coder import Coder
from limbeck.tasks.head_config import HeadRunConfig
from limbeck.tasks.head_context import open_context
from limbeck.tasks.head_rows import HeadRows
from limbeck.tasks.head_run import HeadRun
from limbeck.tasks.memory import MemoryPlan
from limbeck.tasks.task import Student
from limbeck.types import Progress

__all__ = ["HeadTask"]


@dataclass(frozen=True)
class HeadTask:
    """Such a kind, defined by these five parts."""

    read_rows: Callable[[Any, Path | None], HeadRows[Any]]
    """Reads and checks all rows of a run; the folder is for rows in quarantine."""
    coder: Callable[[Any, Any], Coder]
    """Returns the coder of a run and its rows."""
    answers: Callable[[Any], dict[str, int]]
    """Counts the gold answers of the training rows by label, if there are labels."""
    student: Callable[[str], Student]
    """Returns the saved student of a folder."""
    use: Use
    """Returns its use for the model card."""

    def settle(self, config: HeadRunConfig, folder: Path) -> HeadRunConfig:
        """Return the run as it is."""
        return config

    def read(self, config: HeadRunConfig, folder: Path | None) -> HeadRows[Any]:
        """Return checked rows."""
        return self.read_rows(config, folder)

    def open(self, config: HeadRunConfig, rows: HeadRows[Any], folder: Path, progress: Progress) -> HeadRun:
        """Load and check the models, and encode the rows."""
        return HeadRun(open_context(config, self.coder(config, rows), rows, folder, progress), progress)

    def examine(self, config: HeadRunConfig, progress: Progress, in_folder: InFolder) -> list[Finding]:
        """Return what the doctor finds."""
        folder = Path(config.output)
        return examine_heads(
            config,
            progress,
            in_folder,
            read=lambda: self.read_rows(config, None),
            open_with=lambda rows: open_context(config, self.coder(config, rows), rows, folder, progress),
            answers=self.answers,
        )

    def plan(self, config: HeadRunConfig, available: float | None) -> MemoryPlan:
        """Return the memory that each part of the run needs."""
        from limbeck.tasks.head_memory import plan_heads

        rows = self.read_rows(config, None)
        return plan_heads(config, self.coder(config, rows), rows, available)

    def fill_store(self, config: HeadRunConfig, progress: Progress) -> tuple[int, float]:
        """Refuse: a run stores the teacher's few outputs per text or word itself."""
        raise ConfigError("limbeck store is for generation runs (task.kind: generation); this run keeps its signals")

    def card(self, config: HeadRunConfig, results: Results, student: Path) -> str:
        """Return the model card."""
        from limbeck.report.card import render_card

        use = replace(self.use, library=reader_of(student))
        return render_card(results, use, hub_name(config.student.begins_as(config.teacher.model)))

    def load(self, model: str) -> Student:
        """Return a saved student."""
        return self.student(model)
