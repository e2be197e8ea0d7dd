"""Token classification behind `limbeck.tasks.task.Task`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from limbeck.errors import ConfigError
from limbeck.tasks.finding import Finding, InFolder
from limbeck.tasks.head_checks import examine_heads
from limbeck.tasks.head_run import HeadRun, open_run
from limbeck.tasks.memory import MemoryPlan
from limbeck.tasks.token_classification.config import TaggerRunConfig
from limbeck.tasks.token_classification.predict import SavedTagger
from limbeck.tasks.token_classification.rows import TaggerRows, read_rows
from limbeck.tasks.token_classification.task_run import TagCoder
from limbeck.types import Progress

__all__ = ["TASK", "TokenClassificationTask"]


class TokenClassificationTask:
    """Find entities in texts."""

    def settle(self, config: TaggerRunConfig, folder: Path) -> TaggerRunConfig:
        """Nothing is open."""
        return config

    def read(self, config: TaggerRunConfig, folder: Path | None) -> TaggerRows:
        """Return checked rows."""
        return read_rows(config, folder)

    def open(self, config: TaggerRunConfig, rows: TaggerRows, folder: Path, progress: Progress) -> HeadRun:
        """Load and check the models, and encode the rows."""
        return open_run(config, TagCoder(config, rows), rows, folder, progress)

    def examine(self, config: TaggerRunConfig, progress: Progress, in_folder: InFolder) -> list[Finding]:
        """Return what the doctor finds."""
        return examine_heads(
            config,
            progress,
            in_folder,
            read=lambda: read_rows(config, None),
            open_with=lambda rows: self.open(config, rows, Path(config.output), progress),
            answers=_entities,
        )

    def plan(self, config: TaggerRunConfig, available: float | None) -> MemoryPlan:
        """Refuse: its steps are those of a classifier of the same shape."""
        raise ConfigError(
            "limbeck plan traces classification runs; a tagger of the same shape and max_length takes as much"
        )

    def fill_store(self, config: TaggerRunConfig, progress: Progress) -> tuple[int, float]:
        """Refuse: a run keeps the teacher's few logits of each word itself."""
        raise ConfigError("limbeck store is for runs on texts (task.kind: generation); this run keeps signals itself")

    def load(self, model: str) -> SavedTagger:
        """Return a saved student."""
        return SavedTagger(model)


def _entities(rows: TaggerRows) -> dict[str, int]:
    found = Counter(span.label for row in rows.train.rows for span in row.spans or ())
    return {label: found[label] for label in rows.labels}


TASK = TokenClassificationTask()
