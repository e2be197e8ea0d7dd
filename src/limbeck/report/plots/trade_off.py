"""Quality against cost: accuracy over size on disk and over latency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from limbeck.formatting import bytes_text, shorten
from limbeck.report.lookup import headline_metric, main_figure
from limbeck.report.palette import MUTED, PAPER, Look, looks
from limbeck.report.plotting import Plot, calm_axes, canvas, legend_above, share_ticks, to_svg
from limbeck.report.values import in_sentence, tick_text, value_text
from limbeck.results.figures import Interval, Metric
from limbeck.results.record import Results, System
from limbeck.results.sections import Speed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

__all__ = ["trade_off_plots"]

_WIDTH, _HEIGHT = 420, 250
_LINE_HEIGHT = 18
"""Of the legend, which may have a line for each system."""


@dataclass(frozen=True)
class _Point:
    system: System
    look: Look
    cost: float
    quality: Interval
    label: str


@dataclass(frozen=True)
class _Cost:
    name: str
    axis: str
    of: Callable[[Speed], float | None]
    text: Callable[[float], str]


_COSTS = [
    _Cost("size", "size on disk", lambda s: float(s.size_bytes), lambda value: bytes_text(int(value))),
    _Cost("latency", "median time for one row", lambda s: s.latency_ms_median, lambda value: f"{value:g} ms"),
]


def trade_off_plots(results: Results) -> list[Plot]:
    """Draw the headline figure against size and against latency."""
    return [
        _trade_off(headline_metric(results), cost, points) for cost in _COSTS if (points := _points(results, cost))
    ]


def _points(results: Results, cost: _Cost) -> list[_Point]:
    metric, known, points = headline_metric(results), looks(results), []
    for system in results.systems:
        figure, speed = main_figure(results, system, metric), results.speed(system.name)
        paid = None if speed is None else cost.of(speed)
        if figure is None or figure.interval is None or paid is None:
            continue
        label = f"{shorten(system.title, 40)} {value_text(metric, figure.value)}"
        points.append(_Point(system, known[system.name], paid, figure.interval, label))
    return points


def _trade_off(metric: Metric, cost: _Cost, points: list[_Point]) -> Plot:
    name = f"trade-off-{cost.name}"
    title = f"{metric.title} against {cost.name}"
    shown = _without_outlier(points)
    with canvas(_WIDTH, _HEIGHT + _LINE_HEIGHT * len(points)) as figure:
        axes = figure.add_subplot()
        calm_axes(axes)
        # Room for systems with the same cost, which are placed side by side.
        axes.set_xlim(0, max(point.cost for point in points) * (1.04 + 0.025 * len(points)) or 1)
        axes.set_ylim(*_bounds(shown))
        handles = []
        for place in sorted({point.cost for point in shown}, reverse=True):
            handles += _draw_place(axes, [point for point in shown if point.cost == place])
        for point in points:
            handles += _draw_outlier(axes, point, shown) if point not in shown else []
        # Names next to the points would cover each other and the intervals of other systems.
        legend_above(figure, handles)
        axes.set_xlabel(cost.axis)
        axes.locator_params(nbins=5)
        if metric.unit == "share":
            share_ticks(axes.yaxis)
        axes.xaxis.set_major_formatter(lambda value, _: cost.text(value) if value else "0")
        axes.yaxis.set_major_formatter(lambda value, _: tick_text(metric, value))
        svg = to_svg(figure, name=name, title=title)
    better = {True: "Up and to the left is better. ", False: "Down and to the left is better. ", None: ""}
    caption = f"{better[metric.higher_is_better]}Bars: 95 % intervals."
    if len(shown) < len(points):
        caption += f" The {in_sentence(metric.title)} of a system far off the others is marked at the edge (▾ ▴)."
    return Plot(name, title, caption, svg, _WIDTH)


def _without_outlier(points: list[_Point]) -> list[_Point]:
    """Leave out an untrained student far from the rest, which would squeeze all others into one line."""
    trained = [point for point in points if point.system.role != "student_init"]
    if not trained:
        return points
    low, high = _bounds(trained)
    room = high - low
    return [p for p in points if p in trained or low - room < p.quality.value < high + room]


def _bounds(points: list[_Point]) -> tuple[float, float]:
    low = min(min(point.quality.low, point.quality.value) for point in points)
    high = max(max(point.quality.high, point.quality.value) for point in points)
    margin = max(high - low, 0.02) * 0.22
    return low - margin * 1.3, high + margin


def _draw_place(axes: Axes, points: list[_Point]) -> list[Any]:
    """Draw systems with the same cost side by side, and return their legend."""
    # Students of one run have the same size: without the shift their intervals would cover each other.
    shifts = [16 * (number - (len(points) - 1) / 2) for number in range(len(points))]
    handles = []
    for point, shift in zip(points, shifts, strict=True):
        colour, moved = point.look.colour, _moved(axes, shift)
        quality = point.quality
        axes.plot(
            [point.cost] * 2, [quality.low, quality.high], color=colour, linewidth=2, transform=moved, clip_on=False
        )
        handles += axes.plot(
            point.cost,
            quality.value,
            point.look.marker,
            color=colour,
            markeredgecolor=PAPER,
            markersize=10,
            transform=moved,
            clip_on=False,
            zorder=5,
            label=point.label,
        )
    return handles


def _draw_outlier(axes: Axes, point: _Point, shown: list[_Point]) -> list[Any]:
    """Mark a system at the edge beyond which it lies, and return its legend."""
    below = point.quality.value < min(other.quality.value for other in shown)
    return axes.plot(
        point.cost,
        0.03 if below else 0.97,
        point.look.marker,
        color=MUTED,
        markersize=8,
        transform=axes.get_xaxis_transform(),
        label=f"{'▾' if below else '▴'} {point.label}",
    )


def _moved(axes: Axes, pixels: float) -> Transform:
    from matplotlib.transforms import ScaledTranslation

    return axes.transData + ScaledTranslation(pixels / 72, 0, axes.figure.dpi_scale_trans)
