"""Cross-lingual ranking as a kind of task; see `limbeck.tasks.task.Task`."""

from __future__ import annotations

from pathlib import Path

from limbeck.errors import ConfigError
from limbeck.recipes.recipe import Recipe
from limbeck.results.record import Results
from limbeck.tasks.finding import Finding, InFolder
from limbeck.tasks.memory import MemoryPlan
from limbeck.tasks.ranking.config import LanguageRunConfig
from limbeck.tasks.ranking.context import Context
from limbeck.tasks.ranking.measure import language_card
from limbeck.tasks.ranking.rows import LanguageData, read_language_data
from limbeck.tasks.ranking.saved import SavedRanker
from limbeck.tasks.ranking.task_run import RankingRun, pairs_of
from limbeck.types import Progress

__all__ = ["TASK", "RankingTask"]


class RankingTask:
    """Rank the answers to a question, in many languages."""

    def settle(self, config: LanguageRunConfig, folder: Path) -> LanguageRunConfig:
        """Return the run as it is."""
        return config

    def read(self, config: LanguageRunConfig, folder: Path | None) -> LanguageData:
        """Return the records of all sets, checked."""
        return read_language_data(config)

    def open(self, config: LanguageRunConfig, rows: LanguageData, folder: Path, progress: Progress) -> RankingRun:
        """Pair the records and encode them for every system. Refuses prompts that leave no tokens for the input."""
        pairs = {recipe.key: pairs_of(rows, recipe.build()) for recipe in config.recipes()}
        context = Context(config, folder, rows, progress)
        for name, recipe in context.recipes():
            _require_same_reading(context, name, recipe)
        context.check_lengths()
        return RankingRun(context, pairs)

    def examine(self, config: LanguageRunConfig, progress: Progress, in_folder: InFolder) -> list[Finding]:
        """Return what the doctor finds."""
        from limbeck.tasks.ranking.checks import examine_languages

        return examine_languages(config, progress, in_folder)

    def plan(self, config: LanguageRunConfig, available: float | None) -> MemoryPlan:
        """Refuse: a step is not traced here yet."""
        raise ConfigError("limbeck plan is for models with a head on top; for this run limbeck doctor times the steps")

    def fill_store(self, config: LanguageRunConfig, progress: Progress) -> tuple[int, float]:
        """Refuse: every seed has its own teacher, whose scores are a small table."""
        raise ConfigError("a cross-lingual run keeps its teachers' scores itself; limbeck store is not needed")

    def card(self, config: LanguageRunConfig, results: Results, student: Path) -> str:
        """Return the model card."""
        return language_card(config, results)

    def load(self, model: str) -> SavedRanker:
        """Return a saved student."""
        return SavedRanker(model)


TASK = RankingTask()


def _require_same_reading(context: Context, name: str, recipe: Recipe) -> None:
    reads = (context.kind_of(recipe), recipe.options.prompts)
    if recipe.starts_from == "teacher" and reads != (context.kind, "run"):
        raise ConfigError(f"recipe '{name}' starts from the English model, so it must have its scorer and prompts")
