"""Heat maps: the share of the source-language accuracy that each system keeps in each language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from limbeck.formatting import shorten_apart
from limbeck.report.languages import Entry, LanguageView
from limbeck.report.lookup import budget_text
from limbeck.report.palette import ERROR, INK, MUTED, TEACHER
from limbeck.report.plotting import Plot, canvas, reserve_for_wide, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["heat_maps"]

_CELL_WIDTH, _CELL_HEIGHT = 48, 26
_NAME_WIDTH = 20
_TITLE_WIDTH = 26
_GAP = 0.45
"""Between the source language, the target languages and their mean, in rows; between budgets, in columns."""
_COLUMNS = 24
"""Largest number of columns in one plot."""
_LEAST_SCALE = 0.05
"""A run in which all languages keep nearly everything must not look like one with large losses."""
_STRONGEST = 0.48
"""Opacity of the strongest colour: the number on it stays legible in the light and the dark scheme."""


@dataclass(frozen=True)
class _Column:
    """A system at one label budget, and the position of its column."""

    entry: Entry
    place: float


def heat_maps(view: LanguageView) -> list[Plot]:
    """Draw accuracy in each language as a share of the teacher's accuracy on the source language.

    Label budgets are side by side, as many as fit into one plot, with the same scale for all. Nothing is drawn
    without the teacher's accuracy.
    """
    shares = [view.kept(entry, lang) for entry in view.entries for lang in view.languages]
    known = [share for share in shares if share is not None]
    if not known:
        return []
    scale = max([_LEAST_SCALE, *(abs(share - 1) for share in known)])
    return [_heat_map(view, columns, scale, f"heat-map-{n}") for n, columns in enumerate(_pages(view))]


def _pages(view: LanguageView) -> list[list[_Column]]:
    """Assign columns to all systems at all budgets; budgets stay together, with gaps between them."""
    pages: list[list[_Column]] = []
    entries = view.entries
    for budget in dict.fromkeys(entry.budget for entry in entries):
        group = [entry for entry in entries if entry.budget == budget]
        if not pages or len(pages[-1]) + len(group) > _COLUMNS:
            pages.append([])
        start = pages[-1][-1].place + 1 + _GAP if pages[-1] else 0.0
        pages[-1].extend(_Column(entry, start + number) for number, entry in enumerate(group))
    return pages


def _languages(view: LanguageView) -> list[str]:
    """Return the source language, then the target languages in descending order of the kept share."""
    main = view.main()
    order = view.worst_first(main)[::-1] if main else []
    return [view.section.source, *order, *(lang for lang in view.section.targets if lang not in order)]


def _heat_map(view: LanguageView, columns: list[_Column], scale: float, name: str) -> Plot:
    languages = _languages(view)
    # The source language is set apart above, the mean over target languages below.
    rows = [0.0, *(1 + _GAP + row for row in range(len(languages) - 1)), len(languages) + 2 * _GAP]
    row_names = [*_row_names(view, languages), "Mean of languages"]
    titles = _short_titles([column.entry.system.title for column in columns])
    last_place = columns[-1].place
    width = round(190 + _CELL_WIDTH * (last_place + 1))
    # Height of the slanted names above the cells; the name of the budget is above them.
    slanted = round(22 + 4.6 * max(map(len, titles)))
    title = f"Accuracy in each language against the teacher on {view.source_name}"
    with canvas(width, round(50 + slanted + _CELL_HEIGHT * (rows[-1] + 1))) as figure:
        axes = figure.add_subplot()
        for column in columns:
            shares = [*(view.kept(column.entry, lang) for lang in languages), view.mean_kept(column.entry)]
            for place, share in zip(rows, shares, strict=True):
                _draw_cell(axes, column.place, place, share, scale)
        reserve_for_wide(figure, row_names)
        axes.set_yticks(rows, row_names)
        axes.set_xticks([column.place for column in columns], titles, rotation=38, ha="left")
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelcolor=INK)
        axes.tick_params(axis="x", pad=2)
        axes.spines[:].set_visible(False)
        axes.set(xlim=(-0.5, last_place + 0.5), ylim=(rows[-1] + 0.5, -0.5))
        # Inside the axes anyway; measuring all of them takes longer than everything else.
        for artist in [*axes.patches, *axes.texts]:
            artist.set_in_layout(False)
        _name_budgets(axes, columns, slanted)
        svg = to_svg(figure, name=name, title=title)
    caption = f"In per cent. Red: below the teacher on {view.source_name} (100); blue: above; stronger is farther."
    return Plot(name, title, caption, svg, width)


def _name_budgets(axes: Axes, columns: list[_Column], height: int) -> None:
    for budget in dict.fromkeys(column.entry.budget for column in columns):
        if budget is None:
            continue
        start = next(column.place for column in columns if column.entry.budget == budget)
        axes.annotate(
            budget_text(budget).capitalize(),
            (start - 0.45, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, height),
            textcoords="offset points",
            color=MUTED,
            fontsize=12,
            fontweight="bold",
        )


def _short_titles(titles: list[str]) -> list[str]:
    """Shorten the titles of systems, which may each span several columns."""
    different = list(dict.fromkeys(titles))
    short = dict(zip(different, shorten_apart(different, _TITLE_WIDTH), strict=True))
    return [short[title] for title in titles]


def _row_names(view: LanguageView, languages: list[str]) -> list[str]:
    names = shorten_apart([view.name(lang) for lang in languages], _NAME_WIDTH)
    low = [view.resource(lang) == "low" for lang in languages]
    return [f"{name} (low)" if is_low else name for name, is_low in zip(names, low, strict=True)]


def _draw_cell(axes: Axes, column: float, place: float, share: float | None, scale: float) -> None:
    from matplotlib.patches import Rectangle

    if share is None:
        axes.text(column, place, "–", ha="center", va="center_baseline", fontsize=11, color=MUTED)
        return
    colour = ERROR if share < 1 else TEACHER.colour
    strength = _STRONGEST * abs(share - 1) / scale
    box = Rectangle((column - 0.48, place - 0.46), 0.96, 0.92, facecolor=colour, alpha=strength, linewidth=0)
    axes.add_artist(box)
    axes.text(column, place, f"{share * 100:.1f}", ha="center", va="center_baseline", fontsize=11, color=INK)
