"""Confusion matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.formatting import shorten, shorten_apart
from limbeck.report.palette import ERROR, INK, LINE, MUTED
from limbeck.report.plotting import Plot, canvas, reserve_for_wide, settle, slug, to_svg
from limbeck.results.record import Results, System
from limbeck.results.sections import Confusion, ConfusionMatrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["confusion_plots"]

_WIDTH = 430
_LABEL_WIDTH = 28
_CELL = 20


def confusion_plots(results: Results, section: Confusion) -> list[Plot]:
    """Draw the confusion matrix of every system that has one, the main system first."""
    systems = sorted(results.systems, key=lambda system: system.role != "main")
    found = [(system, section.systems.get(system.name)) for system in systems]
    return [_confusion(system, matrix) for system, matrix in found if matrix and matrix.labels]


def _confusion(system: System, confusion: ConfusionMatrix) -> Plot:
    name = f"confusion-{slug(system.name)}"
    size = len(confusion.labels)
    with canvas(_WIDTH, 32 + _CELL * size) as figure:
        axes = figure.add_subplot()
        axes.set_aspect("equal")
        _draw_cells(axes, confusion.rows)
        names = shorten_apart(confusion.labels, _LABEL_WIDTH)
        reserve_for_wide(figure, names)
        axes.set_yticks(range(size), names)
        axes.set_xticks(range(size), [str(number) for number in range(1, size + 1)])
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelcolor=INK)
        # Not part of the label: after a right-to-left label, the number would change sides.
        axes.tick_params(axis="y", pad=26)
        for number in range(size):
            axes.text(-0.7, number, str(number + 1), ha="right", va="center_baseline", fontsize=11, color=MUTED)
        axes.spines[:].set_visible(False)
        axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
        # Inside the axes anyway; measuring a hundred of them takes longer than everything else.
        for artist in [*axes.patches, *axes.texts]:
            artist.set_in_layout(False)
        settle(figure)
        svg = to_svg(figure, name=name, title=f"Confusion matrix of {system.title}")
    caption = "Each row is the true class, each column the model's answer, by the same number. Red: mistakes."
    return Plot(name, f"Most confused classes, {shorten(system.title, 60)}", caption, svg, _WIDTH)


def _draw_cells(axes: Axes, rows: list[list[int]]) -> None:
    from matplotlib.patches import Rectangle

    mistakes = [count for i, row in enumerate(rows) for j, count in enumerate(row) if i != j]
    most = max(mistakes, default=0) or 1
    for i, row in enumerate(rows):
        for j, count in enumerate(row):
            colour, strength = (LINE, 0.55) if i == j else (ERROR, 0.1 + 0.5 * count / most if count else 0)
            if strength:
                axes.add_artist(
                    Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, facecolor=colour, alpha=strength, linewidth=0)
                )
            if count:
                _write_count(axes, i, j, count)


def _write_count(axes: Axes, row: int, column: int, count: int) -> None:
    # Four digits only fit into a cell in small print.
    size = 9.5 if count < 1000 else 7.5
    axes.text(column, row, str(count), ha="center", va="center_baseline", fontsize=size, color=INK)
