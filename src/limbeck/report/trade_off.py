"""Quality against cost: accuracy over size on disk and over latency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from limbeck.formatting import bytes_text, share_text, shorten
from limbeck.report.drawing import MARKERS, MUTED, PAPER, SYSTEM_COLOURS, Drawing, calm_axes, canvas, to_svg
from limbeck.results import Interval, Results, Speed, System

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

__all__ = ["trade_off_figures"]

_WIDTH, _HEIGHT = 420, 300
_PLOT_HEIGHT = 235
"""About what layout leaves of the height; only the spacing of names depends on it."""
_LINE_HEIGHT = 18


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
    with canvas(_WIDTH, _HEIGHT) as figure:
        axes = figure.add_subplot()
        calm_axes(axes)
        # Room on the right for the names beside the points that cost the most.
        axes.set_xlim(0, max(point.cost for point in points) * 1.08 or 1)
        axes.set_ylim(*_bounds(shown))
        for place in sorted({point.cost for point in points}):
            here = [point for point in points if point.cost == place]
            _draw_place(axes, [point for point in here if point in shown])
            _draw_below(axes, [point for point in here if point not in shown])
        axes.set_xlabel(cost.axis)
        axes.locator_params(nbins=5)
        axes.xaxis.set_major_formatter(lambda value, _: cost.text(value) if value else "0")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.4g} %")
        svg = to_svg(figure, name=name, title=title)
    caption = "Up and to the left is better. Bars: 95 % intervals."
    if len(shown) < len(points):
        caption += " A system far below the others is named at the lower edge."
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


def _draw_place(axes: Axes, points: list[_Point]) -> None:
    """Draw the systems that cost the same side by side, with their names stacked beside them."""
    if not points:
        return
    # Students of one run have one size: without the shift their intervals would cover each other.
    shifts = [16 * (number - (len(points) - 1) / 2) for number in range(len(points))]
    for point, shift in zip(points, shifts, strict=True):
        colour, moved = SYSTEM_COLOURS[point.system.name], _moved(axes, shift)
        quality = point.quality
        axes.plot([point.cost] * 2, [quality.low, quality.high], color=colour, linewidth=2, transform=moved)
        axes.plot(
            point.cost,
            quality.value,
            MARKERS[point.system.name],
            color=colour,
            markeredgecolor=PAPER,
            markersize=10,
            transform=moved,
            zorder=5,
        )
    left = points[0].cost > 0.55 * axes.get_xlim()[1]
    beside = _moved(axes, (min(shifts) - 14) if left else (max(shifts) + 14))
    for point, height in _spread(points, axes.get_ylim()):
        words = f"{shorten(point.system.title, 28)} {share_text(point.quality.value)}"
        axes.text(
            point.cost,
            height,
            words,
            transform=beside,
            ha="right" if left else "left",
            va="center_baseline",
            fontsize=11.5,
            # A name may cross another system's interval: it stays legible on its own ground.
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.0},
            zorder=4,
        )


def _draw_below(axes: Axes, points: list[_Point]) -> None:
    for number, point in enumerate(points):
        words = f"▾ {shorten(point.system.title, 28)} {share_text(point.quality.value)}"
        left = point.cost > 0.55 * axes.get_xlim()[1]
        axes.annotate(
            words,
            (point.cost, 0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 8 + number * _LINE_HEIGHT),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=11,
            color=MUTED,
        )


def _moved(axes: Axes, pixels: float) -> Transform:
    from matplotlib.transforms import ScaledTranslation

    return axes.transData + ScaledTranslation(pixels / 72, 0, axes.figure.dpi_scale_trans)


def _spread(points: list[_Point], limits: tuple[float, float]) -> list[tuple[_Point, float]]:
    """Give each name a height close to its point, at least one line from the next."""
    line = (limits[1] - limits[0]) * _LINE_HEIGHT / _PLOT_HEIGHT
    ordered = sorted(points, key=lambda point: point.quality.value)
    heights: list[float] = []
    for point in ordered:
        heights.append(max(point.quality.value, heights[-1] + line) if heights else point.quality.value)
    # Pushing upwards alone would lift the whole stack off its points.
    lift = sum(height - point.quality.value for height, point in zip(heights, ordered, strict=True)) / len(ordered)
    return [(point, height - lift) for point, height in zip(ordered, heights, strict=True)]
