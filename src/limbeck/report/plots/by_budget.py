"""Figures against the number of labels: the gain of each system from labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.formatting import shorten
from limbeck.report.lookup import budget_text, metrics_in
from limbeck.report.palette import PAPER, Look, looks
from limbeck.report.plotting import Plot, calm_axes, canvas, legend_above, share_ticks, slug, to_svg
from limbeck.report.values import tick_text
from limbeck.results.figures import Interval, Metric
from limbeck.results.record import Results, System

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["budget_plots"]

_WIDTH, _HEIGHT = 460, 340
_DODGE = 7
"""Between neighbouring systems at one budget, in pixels: their intervals must not cover each other."""

Points = list[tuple[int, Interval]]


def budget_plots(results: Results) -> list[Plot]:
    """Draw each figure of the headline table against the label budget, with intervals; nothing for a single system."""
    plots = []
    for metric in metrics_in(results, "headline"):
        lines = [(system, points) for system in results.systems if (points := _points(results, system, metric))]
        if sum(len(points) for _, points in lines) > 1:
            plots.append(_plot(results, metric, lines))
    return plots


def _points(results: Results, system: System, metric: Metric) -> Points:
    """Return a system's figure at each budget, with the index of the budget."""
    figures = [results.figure(system.name, metric.key, budget=budget) for budget in results.budgets()]
    return [(place, figure.interval) for place, figure in enumerate(figures) if figure and figure.interval]


def _plot(results: Results, metric: Metric, lines: list[tuple[System, Points]]) -> Plot:
    name, title = f"label-budget-{slug(metric.key)}", f"{metric.title} against labels"
    budgets, known = results.budgets(), looks(results)
    with canvas(_WIDTH, _HEIGHT) as figure:
        axes = figure.add_subplot()
        calm_axes(axes)
        handles = []
        for number, (system, points) in enumerate(lines):
            shift = _DODGE * (number - (len(lines) - 1) / 2)
            if system.role == "teacher":
                axes.axhline(
                    points[0][1].value, linestyle=":", color=known[system.name].colour, linewidth=1.4, zorder=1
                )
            handles.append(_draw(axes, known[system.name], points, shift, shorten(system.title, 28)))
        axes.set_xticks(range(len(budgets)), [f"{budget:,}" for budget in budgets])
        axes.set_xlim(-0.45, len(budgets) - 0.55)
        axes.set_xlabel("labels")
        # Automatic limits would ignore lines that were moved sideways.
        axes.set_ylim(*_limits([interval for _, points in lines for _, interval in points]))
        if metric.unit == "share":
            share_ticks(axes.yaxis)
        axes.yaxis.set_major_formatter(lambda value, _: tick_text(metric, value))
        legend_above(figure, handles)
        svg = to_svg(figure, name=name, title=title)
    return Plot(name, title, _caption(results, lines), svg, _WIDTH)


def _caption(results: Results, lines: list[tuple[System, Points]]) -> str:
    caption = "Bars: 95 % intervals; the points of one budget stand side by side."
    budgets = results.budgets()
    for system, points in lines:
        if system.role == "teacher" and len(points) < len(budgets):
            caption += f" Dotted: {system.title}, with {budget_text(budgets[points[0][0]])}."
    return caption


def _limits(intervals: list[Interval]) -> tuple[float, float]:
    low = min(min(interval.low, interval.value) for interval in intervals)
    high = max(max(interval.high, interval.value) for interval in intervals)
    margin = 0.06 * (max(high - low, 0.02))
    return low - margin, high + margin


def _draw(axes: Axes, look: Look, points: Points, shift: float, label: str) -> object:
    from matplotlib.transforms import ScaledTranslation

    moved = axes.transData + ScaledTranslation(shift / 72, 0, axes.figure.dpi_scale_trans)
    for place, interval in points:
        axes.plot(
            [place] * 2, [interval.low, interval.high], color=look.colour, linewidth=1.6, alpha=0.7, transform=moved
        )
    (line,) = axes.plot(
        [place for place, _ in points],
        [interval.value for _, interval in points],
        marker=look.marker,
        color=look.colour,
        markeredgecolor=PAPER,
        markersize=8,
        linewidth=1.8,
        label=label,
        transform=moved,
        zorder=5,
    )
    return line
