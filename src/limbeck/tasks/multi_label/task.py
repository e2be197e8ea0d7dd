"""Several labels behind `limbeck.tasks.task.Task`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from limbeck.errors import ConfigError
from limbeck.tasks.finding import Finding, InFolder
from limbeck.tasks.head_checks import examine_heads
from limbeck.tasks.head_run import HeadRun, open_run
from limbeck.tasks.memory import MemoryPlan
from limbeck.tasks.multi_label.config import LabelSetRunConfig
from limbeck.tasks.multi_label.predict import SavedLabelSets
from limbeck.tasks.multi_label.rows import LabelSetRows, read_rows
from limbeck.tasks.multi_label.task_run import LabelSetCoder
from limbeck.types import Progress

__all__ = ["TASK", "MultiLabelTask"]


class MultiLabelTask:
    """Give texts or pairs any number of labels."""

    def settle(self, config: LabelSetRunConfig, folder: Path) -> LabelSetRunConfig:
        """Nothing is open."""
        return config

    def read(self, config: LabelSetRunConfig, folder: Path | None) -> LabelSetRows:
        """Return checked rows."""
        return read_rows(config, folder)

    def open(self, config: LabelSetRunConfig, rows: LabelSetRows, folder: Path, progress: Progress) -> HeadRun:
        """Load and check the models, and encode the rows."""
        return open_run(config, LabelSetCoder(config, rows), rows, folder, progress)

    def examine(self, config: LabelSetRunConfig, progress: Progress, in_folder: InFolder) -> list[Finding]:
        """Return what the doctor finds."""
        return examine_heads(
            config,
            progress,
            in_folder,
            read=lambda: read_rows(config, None),
            open_with=lambda rows: self.open(config, rows, Path(config.output), progress),
            answers=_answers,
        )

    def plan(self, config: LabelSetRunConfig, available: float | None) -> MemoryPlan:
        """Refuse: its steps are those of a classifier of the same shape."""
        raise ConfigError(
            "limbeck plan traces classification runs; a model of several labels of the same shape and "
            "max_length takes as much"
        )

    def fill_store(self, config: LabelSetRunConfig, progress: Progress) -> tuple[int, float]:
        """Refuse: a run keeps the teacher's few outputs of each text itself."""
        raise ConfigError("limbeck store is for runs on texts (task.kind: generation); this run keeps signals itself")

    def load(self, model: str) -> SavedLabelSets:
        """Return a saved student."""
        return SavedLabelSets(model)


def _answers(rows: LabelSetRows) -> dict[str, int]:
    found = Counter(name for names in rows.train.targets for name in names or ())
    return {label: found[label] for label in rows.labels}


TASK = MultiLabelTask()
