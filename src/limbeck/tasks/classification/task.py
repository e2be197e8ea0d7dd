"""The kind as a `limbeck.tasks.task.Task`."""

from __future__ import annotations

from pathlib import Path

from limbeck.errors import ConfigError
from limbeck.results.record import Results
from limbeck.tasks.classification.calibrate import dev_labels
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.context import set_up
from limbeck.tasks.classification.dates import with_label_dates
from limbeck.tasks.classification.label_teacher import LabelTeacher
from limbeck.tasks.classification.measure import model_card
from limbeck.tasks.classification.rows import RunRows, read_rows, require_labels
from limbeck.tasks.classification.saved import SavedClassifier
from limbeck.tasks.classification.signals import require_fitting
from limbeck.tasks.classification.task_run import ClassifierRun
from limbeck.tasks.classification.timing import with_steps_in_time
from limbeck.tasks.finding import Finding, InFolder
from limbeck.tasks.memory import MemoryPlan
from limbeck.types import Progress

__all__ = ["TASK", "ClassifierTask"]


class ClassifierTask:
    """Label texts or pairs of texts."""

    def settle(self, config: RunConfig, folder: Path) -> RunConfig:
        """Fill in the date of prompts, and the steps that fit in the run's time."""
        return with_steps_in_time(with_label_dates(config, folder), folder)

    def read(self, config: RunConfig, folder: Path | None) -> RunRows:
        """Return checked rows, with the labels that a term or the teacher's fine-tuning reads."""
        rows = read_rows(config, folder)
        require_labels(config, rows)
        if rows.dev is not None:
            dev_labels(rows.dev, rows.labels)
        return rows

    def open(self, config: RunConfig, rows: RunRows, folder: Path, progress: Progress) -> ClassifierRun:
        """Load and check the models, encode the rows, and get the labels of a teacher without weights."""
        context = set_up(config, folder, rows, progress)
        require_fitting(context)
        run = ClassifierRun(context)
        if isinstance(context.teacher, LabelTeacher):
            _ = run.signals  # a teacher that only guesses is refused before anything is trained
        return run

    def examine(self, config: RunConfig, progress: Progress, in_folder: InFolder) -> list[Finding]:
        """Return the doctor's findings."""
        from limbeck.tasks.classification.checks import examine

        return examine(config, progress, in_folder)

    def plan(self, config: RunConfig, available: float | None) -> MemoryPlan:
        """Return the memory that each part of the run needs."""
        from limbeck.tasks.classification.memory import plan_memory

        return plan_memory(config, available=available)

    def fill_store(self, config: RunConfig, progress: Progress) -> tuple[int, float]:
        """Refuse: signals of classifiers are small, and every run stores its own."""
        raise ConfigError("a run of a classifier keeps the teacher's signals itself; limbeck store is not needed")

    def card(self, config: RunConfig, results: Results, student: Path) -> str:
        """Return the model card."""
        return model_card(config, results, student)

    def load(self, model: str) -> SavedClassifier:
        """Return a saved student."""
        return SavedClassifier(model)


TASK = ClassifierTask()
