"""What each system keeps of English in each language, as a heat map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from limbeck.formatting import shorten_apart
from limbeck.language_results import LanguageResults, LanguageSystem
from limbeck.report.drawing import ERROR, INK, MUTED, SYSTEM_COLOURS, Drawing, canvas, reserve_for_wide, to_svg
from limbeck.report.language_comparisons import labels_text
from limbeck.report.language_rows import left_behind_order
from limbeck.report.retention import budgets, focus_of, language_name, macro_retention, retention_in, systems_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["heat_maps"]

_CELL_WIDTH, _CELL_HEIGHT = 48, 26
_NAME_WIDTH = 20
_TITLE_WIDTH = 26
_GAP = 0.45
"""Between the source language, the target languages and their mean, in rows; between budgets, in columns."""
_COLUMNS = 24
"""Most columns of one drawing."""
_LEAST_SCALE = 0.05
"""A run in which all languages keep nearly everything shall not look like one of large losses."""
_STRONGEST = 0.48
"""Opacity of the strongest colour: the number on it stays legible in the light and the dark scheme."""


@dataclass(frozen=True)
class _Column:
    """A system at one label budget, and where its column stands."""

    system: LanguageSystem
    place: float


def heat_maps(results: LanguageResults) -> list[Drawing]:
    """Draw accuracy in each language as a share of the English model's accuracy on English.

    Label budgets stand side by side, as many as fit into one drawing; the scale is the same for all. Nothing
    is drawn without the English model's accuracy.
    """
    shares = [retention_in(results, s, lang) for s in results.systems for lang in _languages(results)]
    if all(share is None for share in shares):
        return []
    farthest = max(abs(share - 1) for share in shares if share is not None)
    scale = max(farthest, _LEAST_SCALE)
    return [_heat_map(results, columns, scale, f"heat-map-{n}") for n, columns in enumerate(_pages(results))]


def _pages(results: LanguageResults) -> list[list[_Column]]:
    """Give every system at every budget its column; budgets stay together, with a gap between them."""
    pages: list[list[_Column]] = []
    for n_target in budgets(results):
        systems = systems_at(results, n_target)
        if not pages or len(pages[-1]) + len(systems) > _COLUMNS:
            pages.append([])
        start = pages[-1][-1].place + 1 + _GAP if pages[-1] else 0.0
        pages[-1].extend(_Column(system, start + number) for number, system in enumerate(systems))
    return pages


def _languages(results: LanguageResults) -> list[str]:
    """Return the source language, then the target languages from the one that keeps most to the least."""
    focus = focus_of(results)
    order = left_behind_order(results, focus)[::-1] if focus else []
    return [results.source_language, *order, *(lang for lang in results.languages if lang not in order)]


def _heat_map(results: LanguageResults, columns: list[_Column], scale: float, name: str) -> Drawing:
    languages = _languages(results)
    # The source language stands apart above, the mean over target languages apart below.
    rows = [0.0, *(1 + _GAP + row for row in range(len(languages) - 1)), len(languages) + 2 * _GAP]
    row_names = [*_row_names(results, languages), "Mean of languages"]
    short = _short_titles([column.system.title for column in columns])
    titles = [short[column.system.title] for column in columns]
    last_place = columns[-1].place
    width = round(190 + _CELL_WIDTH * (last_place + 1))
    # What slanted names take above the cells; the name of the budget stands over them.
    slanted = round(22 + 4.6 * max(map(len, titles)))
    title = "Accuracy in each language against the English model on English"
    with canvas(width, round(50 + slanted + _CELL_HEIGHT * (rows[-1] + 1))) as figure:
        axes = figure.add_subplot()
        for column in columns:
            for place, share in zip(rows, _shares(results, column.system, languages), strict=True):
                _draw_cell(axes, column.place, place, share, scale)
        reserve_for_wide(figure, row_names)
        axes.set_yticks(rows, row_names)
        axes.set_xticks([column.place for column in columns], titles, rotation=38, ha="left")
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelcolor=INK)
        axes.tick_params(axis="x", pad=2)
        axes.spines[:].set_visible(False)
        axes.set(xlim=(-0.5, last_place + 0.5), ylim=(rows[-1] + 0.5, -0.5))
        # Inside the axes anyway; measuring all of them takes longer than all else.
        for artist in [*axes.patches, *axes.texts]:
            artist.set_in_layout(False)
        _name_budgets(axes, columns, slanted)
        svg = to_svg(figure, name=name, title=title)
    caption = "In per cent. Red: below the English model on English (100); blue: above; the stronger, the farther."
    return Drawing(name, title, caption, svg, width)


def _name_budgets(axes: Axes, columns: list[_Column], height: int) -> None:
    for n_target in dict.fromkeys(column.system.n_target for column in columns):
        start = next(column.place for column in columns if column.system.n_target == n_target)
        axes.annotate(
            labels_text(n_target).capitalize(),
            (start - 0.45, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, height),
            textcoords="offset points",
            color=MUTED,
            fontsize=12,
            fontweight="bold",
        )


def _shares(results: LanguageResults, system: LanguageSystem, languages: list[str]) -> list[float | None]:
    return [*(retention_in(results, system, lang) for lang in languages), macro_retention(results, system)]


def _short_titles(titles: list[str]) -> dict[str, str]:
    """Shorten the titles of systems, each of which may stand over several columns."""
    different = list(dict.fromkeys(titles))
    return dict(zip(different, shorten_apart(different, _TITLE_WIDTH), strict=True))


def _row_names(results: LanguageResults, languages: list[str]) -> list[str]:
    names = shorten_apart([language_name(results, lang) for lang in languages], _NAME_WIDTH)
    low = {cell.lang for system in results.systems for cell in system.cells if cell.resource == "low"}
    return [f"{name} (low)" if lang in low else name for lang, name in zip(languages, names, strict=True)]


def _draw_cell(axes: Axes, column: float, place: float, share: float | None, scale: float) -> None:
    from matplotlib.patches import Rectangle

    if share is None:
        axes.text(column, place, "–", ha="center", va="center_baseline", fontsize=11, color=MUTED)
        return
    colour = ERROR if share < 1 else SYSTEM_COLOURS["teacher"]
    strength = _STRONGEST * abs(share - 1) / scale
    box = Rectangle((column - 0.48, place - 0.46), 0.96, 0.92, facecolor=colour, alpha=strength, linewidth=0)
    axes.add_artist(box)
    axes.text(column, place, f"{share * 100:.1f}", ha="center", va="center_baseline", fontsize=11, color=INK)
