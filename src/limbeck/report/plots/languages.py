"""Plots over languages: the gap to the source language, and the difference between two systems, in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.formatting import shorten, shorten_apart
from limbeck.report.languages import Entry, LanguageView
from limbeck.report.lookup import budget_text, headline_metric
from limbeck.report.palette import ERROR, INK, LINE, MAIN, MUTED, PAPER, TEACHER, looks
from limbeck.report.plotting import (
    Plot,
    annotate_row,
    calm_axes,
    canvas,
    legend_above,
    reserve_for_wide,
    slug,
    to_svg,
)
from limbeck.report.values import difference_text, in_sentence, tick_text
from limbeck.results.figures import Interval, Metric
from limbeck.results.record import System

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["difference_plot", "gap_plot"]

_WIDTH = 360
_ROW = 25
_NAME_WIDTH = 20


def gap_plot(view: LanguageView, entry: Entry) -> Plot | None:
    """Draw, for each language, a system's figure, the best other's, and the teacher's on the source language."""
    rows = [(lang, pair) for lang in view.worst_first(entry) if (pair := view.beside_source(entry, lang))]
    if not rows:
        return None
    name, title = f"language-gap{_suffix(entry)}", f"Below {view.source_name}{_with_labels(entry)}"
    metric, system, known = headline_metric(view.results), entry.system, looks(view.results)
    own_look = known[system.name]
    with canvas(_WIDTH, 84 + _ROW * len(rows)) as figure:
        axes = figure.add_subplot()
        calm_axes(axes, grid="x")
        handles: dict[str, object] = {}
        for place, (lang, (own, source)) in enumerate(rows):
            axes.plot([own, source], [place, place], color=MUTED, linewidth=2, alpha=0.45, zorder=1)
            axes.plot(source, place, "|", color=TEACHER.colour, markersize=14, markeredgewidth=2.4)
            other = view.best_other(entry, lang)
            beside = view.beside_source(other, lang) if other else None
            if other and beside:
                theirs = known[other.system.name]
                label = shorten(f"{other.system.title}, best other", 28)
                (handles[label],) = axes.plot(beside[0], place, theirs.marker, color=PAPER, label=label,
                    markeredgecolor=theirs.colour, markeredgewidth=1.6, markersize=6.5, linestyle="none")  # fmt: skip
            (own_handle,) = axes.plot(own, place, own_look.marker, color=own_look.colour, markersize=7, zorder=5,
                                      label=shorten(system.title, 24))  # fmt: skip
            annotate_row(axes, place, difference_text(metric, own - source, unit=False))
        (source_handle,) = axes.plot([], [], "|", color=TEACHER.colour, markersize=12, markeredgewidth=2.4)
        source_handle.set_label(f"Teacher on {shorten(view.source_name, 14)}")
        _name_rows(figure, axes, shorten_apart([view.name(lang) for lang, _ in rows], _NAME_WIDTH))
        axes.margins(x=0.06)
        axes.locator_params(axis="x", nbins=5)
        axes.xaxis.set_major_formatter(lambda value, _: tick_text(metric, value))
        legend_above(figure, [own_handle, source_handle, *handles.values()])
        svg = to_svg(figure, name=name, title=title)
    caption = (
        f"{metric.title}; the language that {shorten(system.title, 60)} serves worst comes first. On the right: "
        f"its gap to the teacher on {view.source_name}, in points."
    )
    return Plot(name, title, caption, svg, _WIDTH)


def difference_plot(view: LanguageView, entry: Entry, other: System) -> Plot | None:
    """Draw the difference to another system with its interval in each language, and over all of them."""
    metric = headline_metric(view.results)
    found = [(lang, view.compared(entry, other, lang)) for lang in view.worst_first(entry)]
    rows = [(view.name(lang), c.interval) for lang, c in found if c and c.interval]
    whole = view.compared(entry, other)
    if not rows or whole is None or whole.interval is None:
        return None
    name = f"difference-{slug(entry.system.name)}-{slug(other.name)}{_suffix(entry)}"
    first = shorten(entry.system.title, 60)
    title = f"{first} against {shorten(other.title, 60)}{_with_labels(entry)}"
    last = len(rows) + 0.3
    with canvas(_WIDTH, 84 + _ROW * (len(rows) + 1)) as figure:
        axes = figure.add_subplot()
        calm_axes(axes, grid="x")
        axes.axvline(0, color=MUTED, linewidth=1.2, zorder=1)
        for place, (_, interval) in enumerate(rows):
            _draw_interval(axes, metric, place, interval)
        axes.axhline(len(rows) - 0.35, color=LINE, linewidth=1)
        _draw_interval(axes, metric, last, whole.interval, thick=True)
        names = [*shorten_apart([label for label, _ in rows], _NAME_WIDTH), "All languages"]
        _name_rows(figure, axes, names, [*map(float, range(len(rows))), last])
        axes.margins(x=0.08)
        axes.locator_params(axis="x", nbins=6)
        axes.xaxis.set_major_formatter(lambda value, _: difference_text(metric, value, unit=False))
        axes.set_xlabel(f"difference in {in_sentence(metric.title)}{', points' * (metric.unit == 'share')}")
        svg = to_svg(figure, name=name, title=title)
    caption = f"Right of zero {first} is better. Bars: 95 % intervals; filled if the interval excludes zero."
    return Plot(name, title, caption, svg, _WIDTH)


def _suffix(entry: Entry) -> str:
    return "" if entry.budget is None else f"-{entry.budget}"


def _with_labels(entry: Entry) -> str:
    return "" if entry.budget is None else f", {budget_text(entry.budget)}"


def _draw_interval(axes: Axes, metric: Metric, place: float, interval: Interval, *, thick: bool = False) -> None:
    better, worse = interval.low > 0, interval.high < 0
    colour = MAIN.colour if better else ERROR if worse else MUTED
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
    annotate_row(axes, place, difference_text(metric, interval.value, unit=False))


def _name_rows(figure: Figure, axes: Axes, names: list[str], places: list[float] | None = None) -> None:
    reserve_for_wide(figure, names)
    places = places or [float(place) for place in range(len(names))]
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(places[-1] + 0.6, -0.6)
