"""Figures about single classes: which lost the most, and which are taken for which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.formatting import points_text, shorten, shorten_apart
from limbeck.report.drawing import (
    ERROR,
    INK,
    LINE,
    MARKERS,
    MUTED,
    SYSTEM_COLOURS,
    Drawing,
    annotate_row,
    calm_axes,
    canvas,
    legend_above,
    reserve_for_wide,
    settle,
    to_svg,
)
from limbeck.report.tables import system_of
from limbeck.results import ConfusionMatrix, Results, System

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["class_change_figures", "confusion_figures"]

_WIDTH = 430
_CLASSES_SHOWN = 12
_LABEL_WIDTH = 28
_CELL = 20


def class_change_figures(results: Results) -> list[Drawing]:
    """Draw F1 of teacher and distilled student for the classes that lost the most."""
    teacher, distilled = system_of(results, "teacher"), system_of(results, "distilled")
    if not (teacher and distilled):
        return []
    before = {figures.label: figures.f1 for figures in teacher.per_class}
    changes = [(c.label, before[c.label], c.f1) for c in distilled.per_class if c.label in before]
    changes.sort(key=lambda change: change[2] - change[1])
    return [_class_change(changes, teacher, distilled)] if changes else []


def confusion_figures(results: Results) -> list[Drawing]:
    """Draw the confusion matrix of every system that has one, the distilled student first."""
    systems = sorted(results.systems, key=lambda system: system.name != "distilled")
    return [_confusion(s, s.confusion) for s in systems if s.confusion and s.confusion.labels]


def _class_change(changes: list[tuple[str, float, float]], teacher: System, distilled: System) -> Drawing:
    title = f"F1 per class, {teacher.title} and {distilled.title}"
    shown = changes[:_CLASSES_SHOWN]
    with canvas(_WIDTH, 74 + 24 * len(shown)) as figure:
        axes = figure.add_subplot()
        calm_axes(axes, grid="x")
        handles = []
        for system, f1 in ((teacher, [c[1] for c in shown]), (distilled, [c[2] for c in shown])):
            colour = SYSTEM_COLOURS[system.name]
            handles += axes.plot(
                f1,
                range(len(shown)),
                MARKERS[system.name],
                color=colour,
                markersize=7,
                label=shorten(system.title, 24),
            )
        for row, (_, before, after) in enumerate(shown):
            axes.plot([before, after], [row, row], color=MUTED, linewidth=2, alpha=0.45, zorder=1)
            annotate_row(axes, row, points_text(after - before).removesuffix(" points"))
        names = shorten_apart([label for label, _, _ in shown], _LABEL_WIDTH)
        reserve_for_wide(figure, names)
        axes.set_yticks(range(len(shown)), names)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.locator_params(axis="x", nbins=5)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value * 100:.4g} %")
        axes.set_xlabel("F1")
        legend_above(figure, handles)
        svg = to_svg(figure, name="class-change", title=title)
    heading = "Classes that lost the most" if shown[-1][2] < shown[-1][1] else "Change per class"
    caption = f"F1 of {len(shown)} of {len(changes)} classes; on the right the change in points."
    return Drawing("class-change", heading, caption, svg, _WIDTH)


def _confusion(system: System, confusion: ConfusionMatrix) -> Drawing:
    name = f"confusion-{system.name.replace('_', '-')}"
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
        # Not part of the label: behind one that is written from right to left, the number would change sides.
        axes.tick_params(axis="y", pad=26)
        for number in range(size):
            axes.text(-0.7, number, str(number + 1), ha="right", va="center_baseline", fontsize=11, color=MUTED)
        axes.spines[:].set_visible(False)
        axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
        # Inside the axes anyway; measuring a hundred of them takes longer than all else.
        for artist in [*axes.patches, *axes.texts]:
            artist.set_in_layout(False)
        settle(figure)
        svg = to_svg(figure, name=name, title=f"Confusion matrix of {system.title}")
    caption = "Each row is the true class, each column what the model said, by the same number. Red: mistakes."
    return Drawing(name, f"Most confused classes, {system.title}", caption, svg, _WIDTH)


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
    # Four digits only fit into a cell when they are small.
    size = 9.5 if count < 1000 else 7.5
    axes.text(column, row, str(count), ha="center", va="center_baseline", fontsize=size, color=INK)
