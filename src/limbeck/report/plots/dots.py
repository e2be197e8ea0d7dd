"""Dot plots: one dot with its interval for each system."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from limbeck.formatting import share_text, shorten_apart
from limbeck.report.lookup import main_figure
from limbeck.report.palette import MUTED, PAPER, TEACHER, Look, looks
from limbeck.report.plotting import Plot, calm_axes, canvas, reserve_for_wide, slug, to_svg
from limbeck.report.values import column_title, in_sentence, tick_text, value_text
from limbeck.results.figures import Interval, Metric
from limbeck.results.record import Results, System
from limbeck.results.sections import Kept
from limbeck.results.worth import beats_constant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["metric_dots", "retention_dots"]

_WIDTH, _HEIGHT_OF_ROW, _FRAME = 420, 40, 70


@dataclass(frozen=True)
class _Row:
    system: System
    look: Look
    figure: Interval


def retention_dots(results: Results, kept: Sequence[Kept]) -> list[Plot]:
    """Draw the kept share of each of the teacher's figures.

    Metrics for which a constant answer would do as well are left out.
    """
    constant = results.role("constant")
    plots = []
    for metric in results.metrics:
        matched = constant and results.figure(constant.name, metric.key) and not beats_constant(results)
        found = [(one, results.system(one.system)) for one in kept if one.metric == metric.key and not one.slice]
        rows = [_Row(system, looks(results)[system.name], one.kept) for one, system in found if system]
        if not rows or matched:
            continue
        title = f"{metric.title} as a share of the teacher's"
        caption = "The dashed line is the teacher. To the right is better."
        if metric.higher_is_better is False:
            caption += f" The teacher's {in_sentence(metric.title)} over the system's, since less is better."
        name = f"retention-{slug(metric.key)}"
        plots.append(_dots(name, title, caption, rows, share_text, _percent, teacher_at=1.0))
    return plots


def metric_dots(results: Results, metrics: Sequence[Metric]) -> list[Plot]:
    """Draw a figure of all systems that have it with an interval, for each metric."""
    plots = []
    for metric in metrics:
        found = [(system, main_figure(results, system, metric)) for system in results.systems]
        rows = [_Row(system, looks(results)[system.name], f.interval) for system, f in found if f and f.interval]
        better = {True: "To the right is better.", False: "To the left is better.", None: ""}[metric.higher_is_better]
        title = column_title(metric) + (f" ({metric.detail})" if metric.detail else "")
        if rows:
            name = f"dots-{slug(metric.key)}"
            plots.append(_dots(name, title, better, rows, partial(value_text, metric), partial(tick_text, metric)))
    return plots


def _percent(share: float) -> str:
    return f"{share * 100:.4g} %"


def _dots(
    name: str,
    title: str,
    caption: str,
    rows: list[_Row],
    text: Callable[[float], str],
    tick: Callable[[float], str],
    *,
    teacher_at: float | None = None,
) -> Plot:
    """Draw one dot with its interval for each system, the first on top."""
    shown = _without_outlier(rows)
    labels = shorten_apart([row.system.title for row in shown], 28)
    with canvas(_WIDTH, _FRAME + _HEIGHT_OF_ROW * len(shown)) as figure:
        axes = figure.add_subplot()
        calm_axes(axes, grid="x")
        for height, row in enumerate(reversed(shown)):
            _draw(axes, height, row, text)
        if teacher_at is not None:
            axes.axvline(teacher_at, color=TEACHER.colour, linewidth=1.5, linestyle="--", zorder=1)
        axes.set_yticks(range(len(shown)), labels[::-1])
        axes.set_ylim(-0.6, len(shown) - 0.25)
        axes.margins(x=0.12)
        axes.locator_params(axis="x", nbins=5)
        axes.xaxis.set_major_formatter(lambda value, _: tick(value))
        reserve_for_wide(figure, labels)
        svg = to_svg(figure, name=name, title=title)
    left_out = [f"{row.system.title} ({text(row.figure.value)})" for row in rows if row not in shown]
    parts = [caption, "Bars: 95 % intervals.", *(f"Too far off to be drawn: {words}." for words in left_out)]
    return Plot(name, title, " ".join(parts), svg, _WIDTH)


def _draw(axes: Axes, height: int, row: _Row, text: Callable[[float], str]) -> None:
    look, figure = row.look, row.figure
    axes.plot([figure.low, figure.high], [height] * 2, color=look.colour, linewidth=2)
    axes.plot(figure.value, height, look.marker, color=look.colour, markeredgecolor=PAPER, markersize=10, zorder=5)
    axes.annotate(
        text(figure.value),
        (figure.value, height),
        xytext=(0, 9),
        textcoords="offset points",
        ha="center",
        fontsize=11,
        color=MUTED,
        # The teacher's line must not run through the digits.
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1},
    )


def _without_outlier(rows: list[_Row]) -> list[_Row]:
    """Leave out what learned nothing from the teacher and is far off: it would squeeze all others into one point."""
    trained = [row for row in rows if row.system.role not in ("student_init", "simple")]
    if not trained:
        return rows
    low, high = min(row.figure.low for row in trained), max(row.figure.high for row in trained)
    margin = 2 * max(high - low, 0.05 * abs(high))
    return [row for row in rows if row in trained or low - margin <= row.figure.value <= high + margin]
