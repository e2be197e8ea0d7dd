"""Macro averages against the number of target-language labels: what labels buy each system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.formatting import shorten
from limbeck.language_results import LanguageResults, LanguageSystem, Metric
from limbeck.report.drawing import PAPER, Drawing, calm_axes, canvas, legend_above, to_svg
from limbeck.report.looks import look_of
from limbeck.report.retention import ENGLISH_MODEL, budgets
from limbeck.results import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["label_budget_figures"]

_WIDTH, _HEIGHT = 460, 340
_DODGE = 7
"""Between neighbouring systems at one budget, in pixels: their intervals must not cover each other."""


def label_budget_figures(results: LanguageResults) -> list[Drawing]:
    """Draw macro accuracy and macro MRR against the label budget, with intervals; nothing for a single system."""
    if len(results.systems) < 2:
        return []
    return [_figure(results, "accuracy"), _figure(results, "mrr")]


def _figure(results: LanguageResults, metric: Metric) -> Drawing:
    words = "Macro accuracy" if metric == "accuracy" else "Macro MRR"
    name, title = f"label-budget-{metric}", f"{words} against target-language labels"
    steps = budgets(results)
    by_name: dict[str, list[LanguageSystem]] = {}
    for system in results.systems:
        by_name.setdefault(system.name, []).append(system)
    with canvas(_WIDTH, _HEIGHT) as figure:
        axes = figure.add_subplot()
        calm_axes(axes)
        handles = []
        for place, (system_name, systems) in enumerate(by_name.items()):
            shift = _DODGE * (place - (len(by_name) - 1) / 2)
            points = [(steps.index(s.n_target), _metric(s, metric)) for s in systems]
            handles.append(_draw(axes, system_name, sorted(points, key=lambda p: p[0]), shift, systems[0].title))
        axes.set_xticks(range(len(steps)), [f"{n:,}" for n in steps])
        axes.set_xlim(-0.45, len(steps) - 0.55)
        axes.set_xlabel("labels for each task and target language")
        # The limits are not found by themselves: lines that were moved sideways do not count.
        axes.set_ylim(*_limits([_metric(s, metric) for s in results.systems]))
        if metric == "accuracy":
            axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.4g} %")
        legend_above(figure, handles)
        svg = to_svg(figure, name=name, title=title)
    caption = "Each language has one vote. Bars: 95 % intervals; the points of one budget stand side by side."
    if any(name == ENGLISH_MODEL and len(systems) < len(steps) for name, systems in by_name.items()):
        caption += " Dotted: the English model, which needs no target labels."
    return Drawing(name, title, caption, svg, _WIDTH)


def _metric(system: LanguageSystem, metric: Metric) -> Interval:
    return system.macro_accuracy if metric == "accuracy" else system.macro_mrr


def _limits(intervals: list[Interval]) -> tuple[float, float]:
    low = min(min(interval.low, interval.value) for interval in intervals)
    high = max(max(interval.high, interval.value) for interval in intervals)
    margin = 0.06 * (max(high - low, 0.02))
    return low - margin, high + margin


def _draw(axes: Axes, name: str, points: list[tuple[int, Interval]], shift: float, title: str) -> object:
    from matplotlib.transforms import ScaledTranslation

    look = look_of(name)
    moved = axes.transData + ScaledTranslation(shift / 72, 0, axes.figure.dpi_scale_trans)
    if name == ENGLISH_MODEL:
        axes.axhline(points[0][1].value, linestyle=":", color=look.colour, linewidth=1.4, zorder=1)
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
        label=shorten(title, 28),
        transform=moved,
        zorder=5,
    )
    return line
