"""Quality against cost: accuracy over size on disk and over latency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from limbeck.formatting import bytes_text, share_text, shorten
from limbeck.report.drawing import (
    MARKERS,
    MUTED,
    PAPER,
    SYSTEM_COLOURS,
    Drawing,
    calm_axes,
    canvas,
    legend_above,
    to_svg,
)
from limbeck.results import Interval, Results, Speed, System

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

__all__ = ["trade_off_figures"]

_WIDTH, _HEIGHT = 420, 250
_LINE_HEIGHT = 18
"""Of the legend, which may have a line for each system."""


@dataclass(frozen=True)
class _Point:
    system: System
    cost: float
    quality: Interval


@dataclass(frozen=True)
class _Cost:
    name: str
    axis: str
    of: Callable[[Speed], float]
    text: Callable[[float], str]


_COSTS = [
    _Cost("size", "size on disk", lambda s: float(s.size_bytes), lambda value: bytes_text(int(value))),
    _Cost(
        "latency",
        "median time for one row",
        lambda s: s.latency_ms_median,
        lambda value: f"{value:g} ms",
    ),
]


def trade_off_figures(results: Results) -> list[Drawing]:
    """Draw accuracy (without gold labels: agreement with the teacher) against size and against latency."""
    metric: Literal["accuracy", "agreement"] = "accuracy" if any(s.accuracy for s in results.systems) else "agreement"
    known = [(system, getattr(system, metric)) for system in results.systems]
    drawings = []
    for cost in _COSTS:
        points = [
            _Point(system, cost.of(system.speed), quality) for system, quality in known if quality and system.speed
        ]
        if points:
            drawings.append(_trade_off(metric, cost, points))
    return drawings


def _trade_off(metric: str, cost: _Cost, points: list[_Point]) -> Drawing:
    name, title = f"trade-off-{cost.name}", f"{metric.capitalize()} against {cost.name}"
    shown = _without_low_start(points)
    with canvas(_WIDTH, _HEIGHT + _LINE_HEIGHT * len(points)) as figure:
        axes = figure.add_subplot()
        calm_axes(axes)
        axes.set_xlim(0, max(point.cost for point in points) * 1.08 or 1)
        axes.set_ylim(*_bounds(shown))
        handles = []
        for place in sorted({point.cost for point in shown}, reverse=True):
            handles += _draw_place(axes, [point for point in shown if point.cost == place])
        for point in points:
            handles += _draw_below(axes, point) if point not in shown else []
        # Beside the points, names would cover each other and the intervals of other systems.
        legend_above(figure, handles)
        axes.set_xlabel(cost.axis)
        axes.locator_params(nbins=5)
        axes.xaxis.set_major_formatter(lambda value, _: cost.text(value) if value else "0")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.4g} %")
        svg = to_svg(figure, name=name, title=title)
    caption = "Up and to the left is better. Bars: 95 % intervals."
    if len(shown) < len(points):
        caption += " A system far below the others is marked at the lower edge (▾)."
    return Drawing(name, title, caption, svg, _WIDTH)


def _without_low_start(points: list[_Point]) -> list[_Point]:
    """Leave out an untrained student far below the rest: it would press all others into one line."""
    trained = [point for point in points if point.system.name != "student_before"]
    if not trained:
        return points
    low, high = _bounds(trained)
    return [point for point in points if point in trained or point.quality.value > low - (high - low)]


def _bounds(points: list[_Point]) -> tuple[float, float]:
    low = min(min(point.quality.low, point.quality.value) for point in points)
    high = max(max(point.quality.high, point.quality.value) for point in points)
    margin = max(high - low, 0.02) * 0.22
    return low - margin * 1.3, high + margin


def _draw_place(axes: Axes, points: list[_Point]) -> list[Any]:
    """Draw the systems that cost the same side by side, and return their legend."""
    # Students of one run have one size: without the shift their intervals would cover each other.
    shifts = [16 * (number - (len(points) - 1) / 2) for number in range(len(points))]
    handles = []
    for point, shift in zip(points, shifts, strict=True):
        colour, moved = SYSTEM_COLOURS[point.system.name], _moved(axes, shift)
        quality = point.quality
        axes.plot([point.cost] * 2, [quality.low, quality.high], color=colour, linewidth=2, transform=moved)
        handles += axes.plot(
            point.cost,
            quality.value,
            MARKERS[point.system.name],
            color=colour,
            markeredgecolor=PAPER,
            markersize=10,
            transform=moved,
            zorder=5,
            label=_named(point),
        )
    return handles


def _draw_below(axes: Axes, point: _Point) -> list[Any]:
    """Mark a system at the lower edge, and return its legend."""
    return axes.plot(
        point.cost,
        0.03,
        MARKERS[point.system.name],
        color=MUTED,
        markersize=8,
        transform=axes.get_xaxis_transform(),
        label=f"▾ {_named(point)}",
    )


def _named(point: _Point) -> str:
    return f"{shorten(point.system.title, 40)} {share_text(point.quality.value)}"


def _moved(axes: Axes, pixels: float) -> Transform:
    from matplotlib.transforms import ScaledTranslation

    return axes.transData + ScaledTranslation(pixels / 72, 0, axes.figure.dpi_scale_trans)
