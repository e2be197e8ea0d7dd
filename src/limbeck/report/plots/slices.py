"""Changes in slices of the held-out rows: classes, entity types, domains."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.formatting import shorten, shorten_apart
from limbeck.report.palette import INK, MUTED, looks
from limbeck.report.plotting import (
    Plot,
    annotate_row,
    calm_axes,
    canvas,
    legend_above,
    reserve_for_wide,
    share_ticks,
    slug,
    to_svg,
)
from limbeck.report.values import difference_text, tick_text
from limbeck.results.figures import Metric
from limbeck.results.record import Results, System

__all__ = ["SliceChange", "change_plot"]

_WIDTH = 430
_SHOWN = 12
_LABEL_WIDTH = 28


@dataclass(frozen=True)
class SliceChange:
    """One figure of one slice for two systems."""

    label: str
    before: float
    after: float


def change_plot(
    results: Results, metric: Metric, systems: tuple[System, System], changes: list[SliceChange], name: str
) -> Plot:
    """Draw a figure of two systems for the slices that lost the most.

    Args:
        results: the record.
        metric: of the figure.
        systems: before and after.
        changes: of at least one slice.
        name: the word for slices, in the plural, such as "classes".
    """
    sign = -1 if metric.higher_is_better is False else 1
    shown = sorted(changes, key=lambda change: sign * (change.after - change.before))[:_SHOWN]
    title = f"{metric.title} of {name}, {systems[0].title} and {systems[1].title}"
    with canvas(_WIDTH, 74 + 24 * len(shown)) as figure:
        axes = figure.add_subplot()
        calm_axes(axes, grid="x")
        handles = []
        for system, values in zip(systems, ([c.before for c in shown], [c.after for c in shown]), strict=True):
            look = looks(results)[system.name]
            handles += axes.plot(values, range(len(shown)), look.marker, color=look.colour, markersize=7,
                                 label=shorten(system.title, 24))  # fmt: skip
        for row, change in enumerate(shown):
            axes.plot([change.before, change.after], [row, row], color=MUTED, linewidth=2, alpha=0.45, zorder=1)
            annotate_row(axes, row, difference_text(metric, change.after - change.before, unit=False))
        names = shorten_apart([change.label for change in shown], _LABEL_WIDTH)
        reserve_for_wide(figure, names)
        axes.set_yticks(range(len(shown)), names)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.locator_params(axis="x", nbins=5)
        if metric.unit == "share":
            share_ticks(axes.xaxis)
        axes.xaxis.set_major_formatter(lambda value, _: tick_text(metric, value))
        axes.set_xlabel(metric.title)
        legend_above(figure, handles)
        svg = to_svg(figure, name=f"change-{slug(name)}", title=title)
    lost = sign * (shown[-1].after - shown[-1].before) < 0
    moved = f"{metric.title} of {name}, from teacher to student"
    heading = f"{name.capitalize()} that lost the most" if lost else moved
    unit = " in points" if metric.unit == "share" else ""
    of_all = f"the {len(shown)} of {len(changes)} {name} that gained the least" if len(shown) < len(changes) else name
    caption = f"{metric.title} of {of_all}. On the right: the change{unit}."
    return Plot(f"change-{slug(name)}", heading, caption, svg, _WIDTH)
