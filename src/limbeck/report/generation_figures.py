"""All figures of the report of a generating student, as inline SVG."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limbeck.formatting import decimal_text, perplexity_text, share_text, shorten_apart
from limbeck.generation_results import GenerationFigures, GenerationResults, beats_one_answer
from limbeck.report.curves import draw_curves
from limbeck.report.drawing import MUTED, PAPER, Drawing, calm_axes, canvas, reserve_for_wide, to_svg
from limbeck.report.generation_tables import METRIC_TITLES, generation_title
from limbeck.report.looks import look_of
from limbeck.results import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["GenerationDrawings", "draw_generation_figures"]

_WIDTH, _HEIGHT_OF_ROW, _FRAME = 420, 40, 70


@dataclass(frozen=True)
class GenerationDrawings:
    """What can be drawn of a run; a list is empty where the record holds nothing to draw."""

    retention: list[Drawing]
    likelihood: list[Drawing]
    """Perplexity and KL to the teacher."""
    curves: list[Drawing]


@dataclass(frozen=True)
class _Row:
    system: str
    title: str
    figure: Interval


def draw_generation_figures(results: GenerationResults) -> GenerationDrawings:
    """Draw every figure; the same record gives the same bytes."""
    figures = results.figures
    return GenerationDrawings(
        retention=_retention(figures),
        likelihood=_likelihood(figures),
        curves=draw_curves(results.curves, lambda name: generation_title(figures, name)),
    )


def _retention(figures: GenerationFigures) -> list[Drawing]:
    """What is kept of the teacher's figures; not of its answers, if one answer to every prompt would do as well."""
    keeps_answers = beats_one_answer(figures)
    drawings = []
    for metric in METRIC_TITLES:
        rows = [
            _Row(r.system, generation_title(figures, r.system), r.kept)
            for r in figures.retention
            if r.metric == metric and (keeps_answers or metric == "perplexity")
        ]
        title = f"{METRIC_TITLES[metric]}: what is kept of the teacher's"
        caption = "The dashed line is the teacher. To the right is better."
        if metric == "perplexity":
            caption += " The teacher's perplexity over the system's, since less is better."
        if rows:
            name = f"retention-{metric.replace('_', '-')}"
            drawings.append(_dots(name, title, caption, rows, share_text, _percent, teacher_at=1.0))
    return drawings


def _likelihood(figures: GenerationFigures) -> list[Drawing]:
    caption = "To the left is better."
    drawings = []
    if rows := [_Row(s.name, s.title, s.perplexity) for s in figures.systems if s.perplexity]:
        drawings.append(_dots("perplexity", "Perplexity of the references", caption, rows, perplexity_text, _plain))
    if rows := [_Row(s.name, s.title, s.kl_to_teacher_nats) for s in figures.systems if s.kl_to_teacher_nats]:
        drawings.append(_dots("kl", "KL to the teacher, nats per token", caption, rows, decimal_text, _plain))
    return drawings


def _dots(
    name: str,
    title: str,
    caption: str,
    rows: list[_Row],
    text: Callable[[float], str],
    tick: Callable[[float], str],
    *,
    teacher_at: float | None = None,
) -> Drawing:
    """Draw one dot with its interval for each system, the first on top."""
    shown = _without_low_start(rows)
    labels = shorten_apart([row.title for row in shown], 28)
    with canvas(_WIDTH, _FRAME + _HEIGHT_OF_ROW * len(shown)) as figure:
        axes = figure.add_subplot()
        calm_axes(axes, grid="x")
        for height, row in enumerate(reversed(shown)):
            _draw(axes, height, row, text)
        if teacher_at is not None:
            axes.axvline(teacher_at, color=look_of("teacher").colour, linewidth=1.5, linestyle="--", zorder=1)
        axes.set_yticks(range(len(shown)), labels[::-1])
        axes.set_ylim(-0.6, len(shown) - 0.25)
        axes.margins(x=0.12)
        axes.locator_params(axis="x", nbins=5)
        axes.xaxis.set_major_formatter(lambda value, _: tick(value))
        reserve_for_wide(figure, labels)
        svg = to_svg(figure, name=name, title=title)
    left_out = [f"{row.title} ({text(row.figure.value)})" for row in rows if row not in shown]
    parts = [caption, "Bars: 95 % intervals.", *(f"Too far off to be drawn: {words}." for words in left_out)]
    return Drawing(name, title, " ".join(parts), svg, _WIDTH)


def _draw(axes: Axes, height: int, row: _Row, text: Callable[[float], str]) -> None:
    look, figure = look_of(row.system), row.figure
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
    )


def _without_low_start(rows: list[_Row]) -> list[_Row]:
    """Leave out an untrained student far from the rest: it would press all others into one point."""
    trained = [row for row in rows if row.system != "student_before"]
    if not trained:
        return rows
    low, high = min(row.figure.low for row in trained), max(row.figure.high for row in trained)
    margin = 2 * max(high - low, 0.05 * abs(high))
    return [row for row in rows if row in trained or low - margin <= row.figure.value <= high + margin]


def _percent(share: float) -> str:
    return f"{share * 100:.4g} %"


def _plain(value: float) -> str:
    return f"{value:,.4g}"
