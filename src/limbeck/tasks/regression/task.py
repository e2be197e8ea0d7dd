"""Regression behind `limbeck.tasks.task.Task`."""

from __future__ import annotations

from pathlib import Path

from limbeck.errors import ConfigError
from limbeck.tasks.finding import Finding, InFolder
from limbeck.tasks.head_checks import examine_heads
from limbeck.tasks.head_run import HeadRun, open_run
from limbeck.tasks.memory import MemoryPlan
from limbeck.tasks.regression.config import RegressorRunConfig
from limbeck.tasks.regression.predict import SavedRegressor
from limbeck.tasks.regression.rows import RegressorRows, read_rows
from limbeck.tasks.regression.task_run import ValueCoder
from limbeck.types import Progress

__all__ = ["TASK", "RegressionTask"]


class RegressionTask:
    """Give texts or pairs real numbers."""

    def settle(self, config: RegressorRunConfig, folder: Path) -> RegressorRunConfig:
        """Nothing is open."""
        return config

    def read(self, config: RegressorRunConfig, folder: Path | None) -> RegressorRows:
        """Return checked rows."""
        return read_rows(config, folder)

    def open(self, config: RegressorRunConfig, rows: RegressorRows, folder: Path, progress: Progress) -> HeadRun:
        """Load and check the models, and encode the rows."""
        return open_run(config, ValueCoder(config, rows), rows, folder, progress)

    def examine(self, config: RegressorRunConfig, progress: Progress, in_folder: InFolder) -> list[Finding]:
        """Return what the doctor finds."""
        return examine_heads(
            config,
            progress,
            in_folder,
            read=lambda: read_rows(config, None),
            open_with=lambda rows: self.open(config, rows, Path(config.output), progress),
            answers=_answers,
        )

    def plan(self, config: RegressorRunConfig, available: float | None) -> MemoryPlan:
        """Refuse: its steps are those of a classifier of the same shape."""
        raise ConfigError(
            "limbeck plan traces classification runs; a model of numbers of the same shape and "
            "max_length takes as much"
        )

    def fill_store(self, config: RegressorRunConfig, progress: Progress) -> tuple[int, float]:
        """Refuse: a run keeps the teacher's few outputs of each text itself."""
        raise ConfigError("limbeck store is for runs on texts (task.kind: generation); this run keeps signals itself")

    def load(self, model: str) -> SavedRegressor:
        """Return a saved student."""
        return SavedRegressor(model)


def _answers(rows: RegressorRows) -> dict[str, int]:
    return dict.fromkeys(rows.labels, rows.labelled)


TASK = RegressionTask()
