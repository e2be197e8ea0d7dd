"""The training curves of a run: one panel per series, one colour per system."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from limbeck.formatting import shorten, shorten_apart
from limbeck.report.palette import OTHER, Look, looks
from limbeck.report.plotting import Plot, calm_axes, canvas, legend_above, slug, to_svg
from limbeck.results.record import Curve, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["curve_plots"]

_WIDTH, _HEIGHT = 420, 280
_POINTS_SHOWN = 240
_DASHES = ["-", "--", ":", "-."]

Points = list[tuple[float, float]]


def curve_plots(results: Results) -> list[Plot]:
    """Draw every logged series: seeds as thin lines, their mean as a thick one.

    Loss comes first, then development rows, shares of right rows, single terms, and the rest. If systems differ by
    label budget, each has its own panels: it has too many stages to share one.
    """
    if not results.budgets():
        return _panels(results, results.curves)
    names = list(dict.fromkeys(curve.system for curve in results.curves))
    plots = [
        replace(plot, title=f"{results.title(name)}: {plot.title}")
        for number, name in enumerate(names)
        for plot in _panels(results, [c for c in results.curves if c.system == name], f"curve-{number}")
    ]
    # Stable: every system's loss first, as only the first few panels are shown unfolded.
    return sorted(plots, key=lambda plot: not plot.name.endswith("-loss"))


def _panels(results: Results, curves: list[Curve], name: str = "curve") -> list[Plot]:
    by_series: dict[str, list[Curve]] = defaultdict(list)
    for curve in curves:
        if _points(curve):
            by_series[curve.series].append(curve)
    return [_panel(results, by_series[series], f"{name}-{slug(series)}") for series in sorted(by_series, key=_rank)]


def _rank(series: str) -> tuple[int, str]:
    kind, order = series.partition("/")[0], ["loss", "dev", "train", "term"]
    return order.index(kind) if kind in order else len(order), series


def _panel(results: Results, curves: list[Curve], name: str) -> Plot:
    from matplotlib.ticker import MaxNLocator

    series, groups = curves[0].series, _groups(results, curves)
    stages = {system: [s for other, s in groups if other == system] for system, _ in groups}
    title, known, begins = _series_title(series), looks(results), _begins(results)
    with canvas(_WIDTH, _HEIGHT) as figure:
        axes = figure.add_subplot()
        handles: dict[str, Any] = {}
        for (system, stage), seeds in groups.items():
            look, begin = known.get(system, OTHER), begins.get((system, stage))
            if begin is None:
                style = _DASHES[stages[system].index(stage) % len(_DASHES)]
                label = results.title(system) + (f", {stage}" if len(stages[system]) > 1 else "")
            else:
                style, label = "-", results.title(system)
                axes.axvline(begin, color=look.colour, linewidth=0.6, alpha=0.4)
                seeds = [[(begin + step, value) for step, value in points] for points in seeds]
            handles.setdefault(label, _draw(axes, look, seeds, style, shorten_apart([label], 40)[0]))
        calm_axes(axes)
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
        axes.margins(x=0.02)
        if _is_share(series, curves):
            axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.4g} %")
        legend_above(figure, list(handles.values()))
        svg = to_svg(figure, name=name, title=title)
    in_turn = list(dict.fromkeys(results.title(system) for system, stage in groups if (system, stage) in begins))
    return Plot(name, title, _caption(series, curves, groups, in_turn), svg, _WIDTH)


def _begins(results: Results) -> dict[tuple[str, str], int]:
    """Return the steps before each stage of the systems that have more stages than there are styles of lines.

    Their stages are drawn one after the other. Stages at several label budgets do not follow each other.
    """
    begins: dict[tuple[str, str], int] = {}
    steps: dict[tuple[str, str], int] = defaultdict(int)
    for cost in results.costs:
        steps[cost.system, cost.stage] = max(steps[cost.system, cost.stage], cost.steps)
    for system in [] if results.budgets() else dict.fromkeys(curve.system for curve in results.curves):
        of_system = list(dict.fromkeys(curve.stage for curve in results.curves if curve.system == system))
        if len(of_system) > len(_DASHES):
            ends = accumulate(steps[system, stage] for stage in of_system)
            begins |= {(system, stage): end - steps[system, stage] for stage, end in zip(of_system, ends, strict=True)}
    return begins


def _groups(results: Results, curves: list[Curve]) -> dict[tuple[str, str], list[Points]]:
    order = {system.name: place for place, system in enumerate(results.systems)}
    groups: dict[tuple[str, str], list[Points]] = defaultdict(list)
    for curve in sorted(curves, key=lambda curve: order.get(curve.system, len(order))):
        groups[curve.system, curve.stage].append(_points(curve))
    return groups


def _draw(axes: Axes, look: Look, seeds: list[Points], style: str, label: str) -> object:
    if len(seeds) > 1:
        for points in seeds:
            axes.plot(*_columns(_thinned(points)), style, color=look.colour, linewidth=0.8, alpha=0.4)
    mean = _thinned(_mean(seeds))
    marker = look.marker if len(mean) <= 12 else ""
    (line,) = axes.plot(
        *_columns(mean), style, color=look.colour, linewidth=2, marker=marker, markersize=4.5, label=label
    )
    return line


def _columns(points: Points) -> tuple[list[float], list[float]]:
    return [step for step, _ in points], [value for _, value in points]


def _points(curve: Curve) -> Points:
    pairs = zip(curve.steps, curve.values, strict=False)
    return [(float(step), value) for step, value in pairs if math.isfinite(value)]


def _mean(seeds: list[Points]) -> Points:
    """Average over seeds at the steps that all of them logged."""
    tables = [dict(points) for points in seeds]
    shared = [step for step in tables[0] if all(step in table for table in tables)]
    return [(step, math.fsum(table[step] for table in tables) / len(tables)) for step in shared]


def _thinned(points: Points) -> Points:
    """Average neighbours until few enough points remain; a long run would need many megabytes."""
    group = math.ceil(len(points) / _POINTS_SHOWN) or 1
    chunks = (points[start : start + group] for start in range(0, len(points), group))
    return [(_average(step for step, _ in chunk), _average(value for _, value in chunk)) for chunk in chunks]


def _average(numbers: Iterable[float]) -> float:
    listed = list(numbers)
    return math.fsum(listed) / len(listed)


def _series_title(series: str) -> str:
    kind, _, rest = series.partition("/")
    words = shorten(rest.replace("_", " "), 40) if rest else ""
    titles = {
        "loss": "Training loss",
        "dev": f"On development rows: {words}",
        "train": f"On training batches: {words}",
        "term": f"Term of the loss: {words}",
    }
    return titles.get(kind, shorten(series.replace("_", " "), 40).capitalize())


def _is_share(series: str, curves: list[Curve]) -> bool:
    named = any(word in series for word in ("accuracy", "f1", "agreement"))
    return named and all(0 <= value <= 1 for curve in curves for _, value in _points(curve))


def _caption(series: str, curves: list[Curve], groups: dict[tuple[str, str], list[Points]], in_turn: list[str]) -> str:
    parts = []
    if in_turn:
        parts.append(f"Stages of {', '.join(in_turn)}: one after the other; each begins at a vertical line.")
    if any(len(seeds) > 1 for seeds in groups.values()):
        parts.append("Thin lines: single seeds; thick line: their mean.")
    if series == "loss" and len({curve.system for curve in curves}) > 1:
        parts.append("Heights of different objectives cannot be compared, only their shape.")
    if any(len(curve.steps) > _POINTS_SHOWN for curve in curves):
        parts.append("Neighbouring steps are averaged.")
    return " ".join(parts)
