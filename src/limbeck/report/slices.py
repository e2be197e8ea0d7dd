"""Slices of the held-out rows: classes, entity types, domains."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from limbeck.formatting import ABSENT, count_text, shorten
from limbeck.report.block import Block, Cell, Column, Row, Table
from limbeck.report.palette import looks
from limbeck.report.plots.slices import SliceChange, change_plot
from limbeck.report.plotting import Plot
from limbeck.report.values import column_title, difference_text, figure_cell, in_sentence
from limbeck.results.figures import Figure, Metric
from limbeck.results.record import Results

__all__ = ["slice_block", "slice_keys"]


def slice_keys(results: Results) -> list[str]:
    """Return the keys that divide the held-out rows: those of slices with a single key."""
    return list(dict.fromkeys(next(iter(f.slice)) for f in results.figures if len(f.slice) == 1))


def slice_block(results: Results, key: str, name: str, *, first: Sequence[str] = ()) -> Block:
    """Show a figure of each slice for all systems, and the others for the main system.

    Args:
        results: the record.
        key: of the slices.
        name: the word for them, in the plural.
        first: slices to show first, in this order; others follow.
    """
    found = [figure for figure in results.figures if set(figure.slice) == {key}]
    metrics = [metric for metric in results.metrics if any(figure.metric == metric.key for figure in found)]
    if not metrics:
        return Block()
    present = {figure.slice[key] for figure in found}
    order = [value for value in dict.fromkeys([*first, *(f.slice[key] for f in found)]) if value in present]
    shown = _shown(results, metrics)
    table = _table(results, key, name, order, shown, [metric for metric in metrics if metric is not shown])
    hint = f"{in_sentence(shown.title)} of {count_text(len(order))} {name}"
    return Block(
        name.capitalize(),
        plots=partial(_change_plots, results, key, order, shown, name),
        parts=[Block(f"All {name}", hint=hint, tables=[table], folded=True)],
    )


def _change_plots(results: Results, key: str, order: list[str], metric: Metric, name: str) -> list[Plot]:
    """Draw changes from teacher to main system."""
    teacher, main = results.role("teacher"), results.role("main")
    if teacher is None or main is None:
        return []
    of = partial(_figure, results, metric=metric, key=key)
    changes = [
        SliceChange(value, before.value, after.value)
        for value in order
        if (before := of(teacher.name, value=value)) and (after := of(main.name, value=value))
    ]
    return [change_plot(results, metric, (teacher, main), changes, name)] if changes else []


def _shown(results: Results, metrics: list[Metric]) -> Metric:
    """Return the metric shown for all systems: the run's own, else the last, which summarises those before it."""
    return next((metric for metric in metrics if metric.key == results.headline), metrics[-1])


def _figure(results: Results, name: str, metric: Metric, key: str, value: str) -> Figure | None:
    return results.figure(name, metric.key, slice={key: value})


def _table(results: Results, key: str, name: str, order: list[str], metric: Metric, others: list[Metric]) -> Table:
    systems = [s for s in results.systems if any(_figure(results, s.name, metric, key, v) for v in order)]
    teacher, main = results.role("teacher"), results.role("main")
    known = looks(results)
    columns = [
        Column(name.capitalize(), kind="label"),
        Column("Rows"),
        *(Column(shorten(s.title, 28), column_title(metric), look=known[s.name]) for s in systems),
    ]
    if teacher and main:
        columns.append(Column("Change", "teacher to student"))
    if main:
        columns += [Column(column_title(other), shorten(main.title, 28)) for other in others]

    def row(value: str) -> Row:
        of = partial(_figure, results, key=key, value=value)
        figures = [of(system.name, metric) for system in systems]
        rows = [figure.rows for figure in figures if figure and figure.rows is not None]
        cells = [Cell(value), Cell(count_text(min(rows)) if rows else ABSENT)]
        cells += [figure_cell(metric, figure) for figure in figures]
        if teacher and main:
            before, after = of(teacher.name, metric), of(main.name, metric)
            change = after.value - before.value if before and after else None
            cells.append(Cell(difference_text(metric, change)))
        if main:
            cells += [_known(other, of(main.name, other)) for other in others]
        return Row(cells)

    return Table(f"{metric.title} of {name}", columns, [row(value) for value in order])


def _known(metric: Metric, figure: Figure | None) -> Cell:
    """Return a figure's cell; a share of no rows is not a figure."""
    return figure_cell(metric, figure if figure and figure.rows != 0 else None)
