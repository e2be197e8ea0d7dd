"""Heat map of how alike the layers of student and teacher are, with the chosen map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.formatting import MINUS, decimal_text, shorten
from limbeck.report.palette import INK, TEACHER
from limbeck.report.plotting import Plot, canvas, settle, slug, to_svg
from limbeck.results.sections import LayerMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["layer_map_plot"]

_CELL_WIDTH, _CELL_HEIGHT = 40, 26
_STRONGEST = 0.48
"""Opacity of the strongest colour: the number on it stays legible in the light and the dark scheme."""


def layer_map_plot(section: LayerMap, system: str, title: str) -> Plot:
    """Draw all student layers (rows) against all teacher layers (columns); the compared ones are framed.

    The number in a framed cell is bold and has a mark, so that neither colour nor frame is needed to find it.
    """
    rows, columns = len(section.similarity), len(section.similarity[0])
    name, chosen = f"layer-map-{slug(system)}", set(section.maps[system])
    heading = f"Similarity of layers, {shorten(title, 60)}"
    width = 110 + _CELL_WIDTH * columns
    with canvas(width, 70 + _CELL_HEIGHT * rows) as figure:
        axes = figure.add_subplot()
        for i, row in enumerate(section.similarity):
            for j, value in enumerate(row):
                _draw_cell(axes, i, j, value, chosen=(i + 1, j + 1) in chosen)
        axes.set_yticks(range(rows), [str(layer + 1) for layer in range(rows)])
        axes.set_xticks(range(columns), [str(layer + 1) for layer in range(columns)])
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("Teacher layer")
        axes.set_ylabel("Student layer")
        axes.tick_params(length=0, labelcolor=INK)
        axes.spines[:].set_visible(False)
        axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
        # Inside the axes anyway; measuring hundreds of them takes longer than everything else.
        for artist in [*axes.patches, *axes.texts]:
            artist.set_in_layout(False)
        settle(figure)
        svg = to_svg(figure, name=name, title=f"{heading}; compared: {_in_words(section, system)}")
    caption = "Unbiased CKA in per cent; stronger is more alike. Framed and marked: the layers that are compared."
    return Plot(name, heading, caption, svg, width)


def _in_words(section: LayerMap, system: str) -> str:
    return ", ".join(
        f"student layer {i} with teacher layer {j} ({decimal_text(section.similarity[i - 1][j - 1])})"
        for i, j in section.maps[system]
    )


def _draw_cell(axes: Axes, row: int, column: int, value: float, *, chosen: bool) -> None:
    from matplotlib.patches import Rectangle

    corner, strength = (column - 0.47, row - 0.44), _STRONGEST * min(max(value, 0.0), 1.0)
    axes.add_artist(Rectangle(corner, 0.94, 0.88, facecolor=TEACHER.colour, alpha=strength, linewidth=0))
    if chosen:
        axes.add_artist(Rectangle(corner, 0.94, 0.88, fill=False, edgecolor=INK, linewidth=1.6))
    axes.text(
        column,
        row,
        f"{round(100 * value)}{'*' if chosen else ''}".replace("-", MINUS),
        ha="center",
        va="center_baseline",
        fontsize=11,
        fontweight="bold" if chosen else "normal",
        color=INK,
    )
