"""The kind as a `limbeck.tasks.task.Task`."""

from __future__ import annotations

from pathlib import Path

from limbeck.errors import ConfigError
from limbeck.results.record import Results
from limbeck.tasks.finding import Finding, InFolder
from limbeck.tasks.masked_lm.config import MaskedRunConfig
from limbeck.tasks.masked_lm.context import open_context
from limbeck.tasks.masked_lm.measure import model_card
from limbeck.tasks.masked_lm.rows import MaskedRows, read_texts
from limbeck.tasks.masked_lm.saved import SavedMaskedLM
from limbeck.tasks.masked_lm.task_run import MaskedRun
from limbeck.tasks.memory import MemoryPlan
from limbeck.types import Progress

__all__ = ["TASK", "MaskedTask"]


class MaskedTask:
    """Predict masked tokens of plain text."""

    def settle(self, config: MaskedRunConfig, folder: Path) -> MaskedRunConfig:
        """Return the run as it is."""
        return config

    def read(self, config: MaskedRunConfig, folder: Path | None) -> MaskedRows:
        """Return checked texts."""
        return read_texts(config, folder)

    def open(self, config: MaskedRunConfig, rows: MaskedRows, folder: Path, progress: Progress) -> MaskedRun:
        """Load and check the models, and encode the texts."""
        return MaskedRun(open_context(config, folder, rows, progress))

    def examine(self, config: MaskedRunConfig, progress: Progress, in_folder: InFolder) -> list[Finding]:
        """Return the doctor's findings."""
        from limbeck.tasks.masked_lm.checks import examine_masked

        return examine_masked(config, progress, in_folder)

    def plan(self, config: MaskedRunConfig, available: float | None) -> MemoryPlan:
        """Refuse: what a step takes depends on tokens, not on a head's outputs."""
        raise ConfigError(
            "limbeck plan is for models with a head on top, not for masked language modelling. Try a few steps "
            "(training.max_steps); a smaller training.micro_batch_size takes less memory and gives the same result"
        )

    def fill_store(self, config: MaskedRunConfig, progress: Progress) -> tuple[int, float]:
        """Refuse: every pass has other masks, so the teacher runs along."""
        raise ConfigError(
            "limbeck store is for generation runs (task.kind: generation); here every pass over the texts has new "
            "masks, so the teacher reads them along with the student"
        )

    def card(self, config: MaskedRunConfig, results: Results, student: Path) -> str:
        """Return the model card."""
        return model_card(config, results, student)

    def load(self, model: str) -> SavedMaskedLM:
        """Return a saved student."""
        return SavedMaskedLM(model)


TASK = MaskedTask()
