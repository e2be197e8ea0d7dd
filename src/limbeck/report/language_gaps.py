"""Languages beside each other: how far each lies below English, and what a comparison says in each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from limbeck.formatting import points_text, shorten, shorten_apart
from limbeck.language_results import LanguageComparison, LanguageResults, LanguageSystem
from limbeck.report.drawing import (
    ERROR,
    INK,
    LINE,
    MUTED,
    PAPER,
    SYSTEM_COLOURS,
    Drawing,
    annotate_row,
    calm_axes,
    canvas,
    legend_above,
    reserve_for_wide,
    to_svg,
)
from limbeck.report.language_comparisons import labels_text
from limbeck.report.language_rows import left_behind_order
from limbeck.report.looks import look_of
from limbeck.report.retention import beside_english, best_other, language_name, system_title
from limbeck.results import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["difference_figure", "gap_figure"]

_WIDTH = 360
_ROW = 25
_NAME_WIDTH = 20


def gap_figure(results: LanguageResults, system: LanguageSystem) -> Drawing | None:
    """Draw, for each language, the system's accuracy, the best other's, and the English model's on English."""
    found = [(lang, beside_english(results, system, lang)) for lang in left_behind_order(results, system)]
    rows = [(lang, pair) for lang, pair in found if pair]
    if not rows:
        return None
    name, title = f"language-gap-{system.n_target}", f"Below English, {labels_text(system.n_target)}"
    look, reference = look_of(system.name), look_of("english_model")
    with canvas(_WIDTH, 84 + _ROW * len(rows)) as figure:
        axes = figure.add_subplot()
        calm_axes(axes, grid="x")
        handles: dict[str, object] = {}
        for place, (lang, (own, english)) in enumerate(rows):
            axes.plot([own, english], [place, place], color=MUTED, linewidth=2, alpha=0.45, zorder=1)
            axes.plot(english, place, "|", color=reference.colour, markersize=14, markeredgewidth=2.4)
            other = best_other(results, system, lang)
            beside = beside_english(results, other, lang) if other else None
            if other and beside:
                theirs = look_of(other.name)
                label = shorten(f"{system_title(results, other.name)}, best other", 28)
                (handle,) = axes.plot(
                    beside[0],
                    place,
                    theirs.marker,
                    color=PAPER,
                    markeredgecolor=theirs.colour,
                    markeredgewidth=1.6,
                    markersize=6.5,
                    label=label,
                    linestyle="none",
                )
                handles[label] = handle
            (own_handle,) = axes.plot(
                own, place, look.marker, color=look.colour, markersize=7, zorder=5, label=shorten(system.title, 24)
            )
            annotate_row(axes, place, points_text(own - english).removesuffix(" points"))
        (english_handle,) = axes.plot([], [], "|", color=reference.colour, markersize=12, markeredgewidth=2.4)
        english_handle.set_label(f"English model on {shorten(language_name(results, results.source_language), 14)}")
        _name_rows(figure, axes, shorten_apart([language_name(results, lang) for lang, _ in rows], _NAME_WIDTH))
        axes.margins(x=0.06)
        axes.locator_params(axis="x", nbins=5)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value * 100:.4g} %")
        legend_above(figure, [own_handle, english_handle, *handles.values()])
        svg = to_svg(figure, name=name, title=title)
    caption = f"Accuracy; the language that {system.title} serves worst comes first. On the right: points to English."
    return Drawing(name, title, caption, svg, _WIDTH)


def difference_figure(results: LanguageResults, comparison: LanguageComparison, order: list[str]) -> Drawing | None:
    """Draw a comparison's difference with its interval in each language, and over all of them.

    Args:
        results: the record of the run.
        comparison: two systems at one label budget.
        order: languages in the order of the rows; those that were not compared are left out.
    """
    by_lang = {difference.lang: difference.effect.difference for difference in comparison.languages}
    rows = [(language_name(results, lang), by_lang[lang]) for lang in order if lang in by_lang]
    if not rows:
        return None
    first, second = (system_title(results, side) for side in (comparison.first, comparison.second))
    slug = re.sub(r"[^a-z0-9]+", "-", f"{comparison.first}-{comparison.second}".lower()).strip("-")
    name = f"difference-{slug}-{comparison.n_target}"
    title = f"{first} against {second}, {labels_text(comparison.n_target)}"
    with canvas(_WIDTH, 84 + _ROW * (len(rows) + 1)) as figure:
        axes = figure.add_subplot()
        calm_axes(axes, grid="x")
        axes.axvline(0, color=MUTED, linewidth=1.2, zorder=1)
        for place, (_, interval) in enumerate(rows):
            _draw_interval(axes, place, interval)
        axes.axhline(len(rows) - 0.35, color=LINE, linewidth=1)
        _draw_interval(axes, len(rows) + 0.3, comparison.macro.difference, thick=True)
        places = [*map(float, range(len(rows))), len(rows) + 0.3]
        _name_rows(figure, axes, [*shorten_apart([label for label, _ in rows], _NAME_WIDTH), "All languages"], places)
        axes.margins(x=0.08)
        axes.locator_params(axis="x", nbins=6)
        axes.xaxis.set_major_formatter(lambda value, _: points_text(value).removesuffix(" points"))
        axes.set_xlabel("difference in accuracy, points")
        svg = to_svg(figure, name=name, title=title)
    caption = f"Right of zero {first} is better. Bars: 95 % intervals; filled where the interval leaves out zero."
    return Drawing(name, title, caption, svg, _WIDTH)


def _draw_interval(axes: Axes, place: float, interval: Interval, *, thick: bool = False) -> None:
    better, worse = interval.low > 0, interval.high < 0
    colour = SYSTEM_COLOURS["distilled"] if better else ERROR if worse else MUTED
    axes.plot([interval.low, interval.high], [place, place], color=colour, linewidth=3 if thick else 2)
    axes.plot(
        interval.value,
        place,
        "D",
        color=colour if better or worse else PAPER,
        markeredgecolor=colour,
        markeredgewidth=1.6,
        markersize=8 if thick else 6,
        zorder=5,
    )
    annotate_row(axes, place, points_text(interval.value).removesuffix(" points"))


def _name_rows(figure: Figure, axes: Axes, names: list[str], places: list[float] | None = None) -> None:
    reserve_for_wide(figure, names)
    places = places or [float(place) for place in range(len(names))]
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(places[-1] + 0.6, -0.6)
