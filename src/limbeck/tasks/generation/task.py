"""The kind as a `limbeck.tasks.task.Task`."""

from __future__ import annotations

from pathlib import Path

from limbeck.errors import ConfigError
from limbeck.results.record import Results
from limbeck.tasks.finding import Finding, InFolder
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.tasks.generation.context import set_up
from limbeck.tasks.generation.dates import with_text_date
from limbeck.tasks.generation.measure import model_card
from limbeck.tasks.generation.rows import TextRows, read_texts
from limbeck.tasks.generation.saved import SavedWriter
from limbeck.tasks.generation.store import fill_store_of
from limbeck.tasks.generation.task_run import TextRun
from limbeck.tasks.memory import MemoryPlan
from limbeck.types import Progress

__all__ = ["TASK", "GenerationTask"]


class GenerationTask:
    """Complete prompts, or continue texts."""

    def settle(self, config: TextRunConfig, folder: Path) -> TextRunConfig:
        """Fill in the date that chat templates write."""
        return with_text_date(config, folder)

    def read(self, config: TextRunConfig, folder: Path | None) -> TextRows:
        """Return checked rows."""
        return read_texts(config, folder)

    def open(self, config: TextRunConfig, rows: TextRows, folder: Path, progress: Progress) -> TextRun:
        """Load and check the models, and encode the rows."""
        return TextRun(set_up(config, folder, rows, progress))

    def examine(self, config: TextRunConfig, progress: Progress, in_folder: InFolder) -> list[Finding]:
        """Return the doctor's findings."""
        from limbeck.tasks.generation.checks import examine_texts

        return examine_texts(config, progress, in_folder)

    def plan(self, config: TextRunConfig, available: float | None) -> MemoryPlan:
        """Refuse: the memory of a step is measured on the models themselves."""
        raise ConfigError(
            "limbeck plan is for models with a head on top; for this run limbeck doctor estimates the memory"
        )

    def fill_store(self, config: TextRunConfig, progress: Progress) -> tuple[int, float]:
        """Keep the most likely tokens of the teacher."""
        return fill_store_of(config, progress)

    def card(self, config: TextRunConfig, results: Results, student: Path) -> str:
        """Return the model card."""
        return model_card(config, results, student)

    def load(self, model: str) -> SavedWriter:
        """Return a saved student."""
        return SavedWriter(model)


TASK = GenerationTask()
