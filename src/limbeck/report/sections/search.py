"""The settings that were tried for each system."""

from __future__ import annotations

from collections import Counter

from limbeck.formatting import ABSENT, count_text, duration_text
from limbeck.report.block import Block, Cell, Column, Row, Table
from limbeck.report.lookup import budget_text
from limbeck.report.tables import system_cell
from limbeck.report.values import in_sentence, value_text
from limbeck.results.record import Results
from limbeck.results.sections import Search, Trial

__all__ = ["render"]


def render(section: Search, results: Results) -> Block:
    """Show all trials, and which was chosen."""
    if not section.trials:
        return Block()
    metric = results.metric(section.metric)
    settings = list(dict.fromkeys(name for trial in section.trials for name in trial.settings))
    budgets = any(trial.budget is not None for trial in section.trials)
    columns = [
        Column("System", kind="words"),
        *([Column("Labels")] if budgets else []),
        *(Column(name.replace("_", " ").capitalize()) for name in settings),
        Column(metric.title, "development rows"),
        Column("Chosen", kind="words"),
    ]

    def row(trial: Trial) -> Row:
        labels = [Cell(ABSENT if trial.budget is None else budget_text(trial.budget))] if budgets else []
        values = [Cell(f"{trial.settings[name]:g}" if name in trial.settings else ABSENT) for name in settings]
        text = "not finite" if trial.value is None else value_text(metric, trial.value)
        value = Cell(text, emphasis="clear" if trial.chosen else "")
        return Row(
            [system_cell(results, trial.system), *labels, *values, value, Cell("chosen" if trial.chosen else "")]
        )

    lead = (
        f"{_alike(section)} with the first seed, and measured on "
        f"{count_text(section.rows)} development rows that nothing is trained on. The setting with the best "
        f"{in_sentence(metric.title)} was used for all seeds. The other trials took "
        f"{duration_text(section.other_seconds)}."
    )
    table = Table("Trials on development rows", columns, [row(trial) for trial in section.trials], brief=not budgets)
    return Block("Search for settings", lead, tables=[table])


def _alike(section: Search) -> str:
    """Return in what the trials of all systems are alike, as the beginning of a sentence."""
    if len({tuple(trial.settings) for trial in section.trials}) == 1:
        return "Every system was trained with each of the same settings,"
    systems = Counter((trial.system, trial.budget) for trial in section.trials)
    return (
        f"Every system was trained with {max(systems.values())} settings (those whose recipe has no loss temperature "
        "with more learning rates instead),"
    )
