"""The blocks of a report: those of every run, around those of its own sections."""

from __future__ import annotations

from functools import partial

from limbeck.formatting import count_text
from limbeck.report.block import Block, KeyFigure, Table
from limbeck.report.lookup import metrics_in, whole_comparisons
from limbeck.report.plots.by_budget import budget_plots
from limbeck.report.plots.curves import curve_plots
from limbeck.report.plots.dots import metric_dots
from limbeck.report.plots.trade_off import trade_off_plots
from limbeck.report.plotting import Plot
from limbeck.report.sections import section_blocks
from limbeck.report.summary import key_figures
from limbeck.report.tables import (
    absence_notes,
    comparison_table,
    figure_table,
    headline_table,
    seed_table,
    stage_table,
)
from limbeck.report.values import in_sentence
from limbeck.results.figures import Metric
from limbeck.results.record import Results
from limbeck.results.sections import Search

__all__ = ["held_out_text", "keys_of", "report_blocks", "words_of"]

_TABLES = {
    "calibration": "Calibration error without the temperature",
    "loss": "Loss",
    "one_vs_rest": "Each class against all others",
    "answers": "What the answers look like",
    "entities": "Precision and recall of entities",
}
"""Titles of tables of figures, if different from their names."""
_CURVES_OPEN = 4


def report_blocks(results: Results) -> list[Block]:
    """Return the blocks of a run, in order."""
    return [_systems(results), _tests(results), *section_blocks(results), _training(results)]


def keys_of(results: Results, blocks: list[Block]) -> list[KeyFigure]:
    """Return the figures on top: those of a section that has its own, else those of any run."""
    return next((block.keys for block in blocks if block.keys), None) or key_figures(results)


def held_out_text(results: Results) -> str:
    """Return the number of rows that figures are measured on, in words; empty if unknown."""
    rows = results.run.rows.get("test")
    return "" if rows is None else f"{count_text(rows)} held-out rows"


def _systems(results: Results) -> Block:
    headline, seeds = headline_table(results), seed_table(results)
    others = dict.fromkeys(m.table for m in metrics_in(results) if m.table != "headline")
    parts = [_more_figures(results, table) for table in others]
    if seeds:
        hint = "the tables above show their means"
        parts.append(Block("Figures of each seed", hint=hint, tables=[seeds], folded=True))
    same = held_out_text(results)
    lead = f"All measured on the same {same or 'rows'}. Small figures are 95 % intervals."
    return Block(
        "Systems",
        lead,
        tables=[headline] if headline.rows else [],
        notes=absence_notes(results),
        plots=partial(_system_plots, results),
        parts=parts,
    )


def _system_plots(results: Results) -> list[Plot]:
    """Return figures over budgets, if any; else the headline figure over costs, and figures that are not shares."""
    if results.budgets():
        return budget_plots(results)
    rest = [metric for metric in metrics_in(results, "headline") if metric.unit != "share"]
    return [*trade_off_plots(results), *metric_dots(results, rest)]


def _more_figures(results: Results, table: str) -> Block:
    title = _TABLES.get(table, table.replace("_", " ").capitalize())
    return Block(title, tables=[figure_table(results, metrics_in(results, table), title)])


def _tests(results: Results) -> Block:
    comparisons = whole_comparisons(results)
    if not comparisons:
        return Block()
    lead = (
        "Differences are paired: both systems answer the same rows. A difference is in bold if its interval excludes "
        "zero. The interval is about these rows, and the t-test about the seeds."
    )
    control = next((system for system in results.systems if system.control), None)
    if control and not (results.section(Search) or results.budgets()):
        lead += (
            f" {control.title}: trained with the distilled student's learning rate and steps, not tuned separately."
        )
    if not results.budgets():
        return Block("Is the difference real?", lead, tables=[comparison_table(results, comparisons, "Comparisons")])
    tables: list[tuple[str, Table]] = []
    for metric in results.metrics:
        of_metric = [comparison for comparison in comparisons if comparison.metric == metric.key]
        if of_metric:
            label = f"Comparisons of {in_sentence(metric.title)}"
            tables.append((metric.title, comparison_table(results, of_metric, label)))
    (_, first), *rest = tables
    parts = [Block(f"The same for {in_sentence(title)}", tables=[table], folded=True) for title, table in rest]
    return Block("Is the difference real?", lead, tables=[first], parts=parts)


def _training(results: Results) -> Block:
    stages, parts = stage_table(results), []
    if len({curve.series for curve in results.curves}) > _CURVES_OPEN or results.budgets():
        parts.append(Block("More curves", plots=lambda: curve_plots(results)[_CURVES_OPEN:], folded=True))
    if stages:
        parts.append(Block("What each stage took", tables=[stages]))
    return Block("Training", plots=lambda: curve_plots(results)[:_CURVES_OPEN], parts=parts)


def words_of(results: Results, blocks: list[Block]) -> dict[str, str]:
    """Return the terms of a report with their meaning: metrics, terms of blocks, and tests."""
    words = {metric.title: metric.meaning for metric in _shown_metrics(results) if metric.meaning}
    for block in blocks:
        words |= block.words
    words["95 % interval"] = (
        "The range of 95 % of the values that a figure takes when the held-out rows are resampled with replacement. "
        "It covers neither other data nor other training seeds."
    )
    made = {test.name for comparison in results.comparisons for test in comparison.tests}
    words |= {title: meaning for name, (title, meaning) in _TEST_WORDS.items() if name in made}
    if len(results.run.seeds) > 1:
        words["Several seeds"] = (
            "Figures are means over training seeds; calibration and confusion pool the rows of all seeds."
        )
    if any(results.speed(system.name) for system in results.systems):
        words |= _SPEED_WORDS
    return words


def _shown_metrics(results: Results) -> list[Metric]:
    used = {figure.metric for figure in results.figures}
    return [metric for metric in results.metrics if metric.key in used]


_TEST_WORDS = {
    "bootstrap": (
        "Paired bootstrap",
        "Resamples the same rows for both systems; a small p means that a difference this large would be unusual if "
        "both were equally good.",
    ),
    "mcnemar": (
        "McNemar's test",
        "Looks only at rows that exactly one of two systems gets right; two equally good systems would share these "
        "evenly.",
    ),
    "t": (
        "t-test over seeds",
        "Tests whether the difference is more than chance in training. Few seeds reveal only large differences; with "
        "fewer than three, or if all differ by the same, there is no test.",
    ),
    "holm": ("Holm", "The p-value of the t-test, corrected for the number of tests."),
}
_SPEED_WORDS = {
    "Latency, throughput": "Time for one row at a time (half of the rows take longer than the median, one in twenty "
    "longer than p95), and rows or generated tokens per second in batches, on the machine of this run.",
    "Size, memory": "Weights on disk, and the peak memory of a fresh process; 1 MB is a million bytes.",
}
