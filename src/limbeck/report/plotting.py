"""The common style of all plots, and conversion of matplotlib figures to clean inline SVG.

Plots take their colours from the page (CSS variables), so they follow its light and dark scheme.
Text stays text: it can be searched and read aloud, and uses the page's own font.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree

from limbeck.formatting import is_wide, printable
from limbeck.report.palette import CSS_VARIABLES, INK, LINE, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "Plot",
    "annotate_row",
    "calm_axes",
    "canvas",
    "legend_above",
    "reserve_for_wide",
    "settle",
    "share_ticks",
    "slug",
    "to_svg",
]

_COLOUR = re.compile("|".join(CSS_VARIABLES))

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "limbeck",
    # Browsers round the width of small letters up: leave a little space, so that none is cut off.
    "figure.constrained_layout.w_pad": 8 / 72,
    "figure.constrained_layout.h_pad": 4 / 72,
    # A label may hold dollar signs; it is never a formula.
    "text.parse_math": False,
    # Wider than the fonts of most pages: what fits here fits there.
    "font.family": ["DejaVu Sans"],
    "font.size": 12,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 1,
    "axes.titlesize": 12,
    "axes.unicode_minus": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@dataclass(frozen=True)
class Plot:
    """A finished plot."""

    name: str
    """Unique on the page; made of letters, digits and hyphens."""
    title: str
    caption: str
    svg: str
    width: int
    """Natural width in CSS pixels."""


@contextmanager
def canvas(width: int, height: int, *, find_margins: bool = True) -> Iterator[Figure]:
    """Yield an empty figure in the style of the page, regardless of ``matplotlibrc``.

    Args:
        width: in CSS pixels.
        height: in CSS pixels.
        find_margins: whether matplotlib measures all text to set the margins, which takes most of the time.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        # The browser has glyphs for scripts that the measuring font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        # 72 dots per inch: one point, matplotlib's unit, is one CSS pixel.
        yield Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained" if find_margins else None)


def calm_axes(axes: Axes, *, grid: Literal["x", "y"] | None = "y") -> None:
    """Reduce axes to a thin base line and a light grid, without tick marks."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0, pad=6)
    if grid:
        axes.grid(axis=grid)


def legend_above(figure: Figure, handles: list[Any]) -> None:
    """Put the legend above the plot, in as many columns as its longest entry allows."""
    if not handles:
        return
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = 3 if longest <= 14 else 2 if longest <= 24 else 1
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, borderaxespad=0, columnspacing=1.4)


def annotate_row(axes: Axes, place: float, words: str) -> None:
    """Write the result of a row at the right edge, next to the plot."""
    axes.annotate(
        words,
        (1, place),
        xycoords=("axes fraction", "data"),
        xytext=(44, 0),
        textcoords="offset points",
        ha="right",
        va="center_baseline",
        fontsize=11,
    )


def reserve_for_wide(figure: Figure, labels: list[str]) -> None:
    """Reserve space at the left edge for double-width scripts, which the measuring font lacks."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    wide = max((sum(map(is_wide, label)) for label in labels), default=0)
    left = wide * 0.45 * 11 / (figure.get_figwidth() * 72)
    engine = figure.get_layout_engine()
    if left and isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(left, 0, 1 - left, 1))


def share_ticks(axis: Axis) -> None:
    """Remove ticks below 0 and above 100 %, where no share can be. Limits must be set before."""
    low, high = axis.get_view_interval()
    axis.set_ticks([at for at in axis.get_majorticklocs() if max(low, 0) <= at <= min(high, 1 + 1e-9)])


def settle(figure: Figure) -> None:
    """Lay the figure out again: with a fixed aspect, margins are only right after the second time."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)


def to_svg(figure: Figure, *, name: str, title: str) -> str:
    """Turn a figure into inline SVG: no metadata, ids that are unique on the page, colours of the page.

    Must be called inside `canvas`. The same figure gives the same text every time.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    # `savefig` would lay out and draw everything twice.
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    _drop(root, {"metadata", "style"})
    for element in root.iter():
        element.tag = _local(element.tag)
        attributes = dict(element.attrib)
        element.attrib.clear()
        for key, value in attributes.items():
            element.set(_local(key), _own_ids(_COLOUR.sub(_page_colour, value), _local(key), name))
    _head(root, name, title)
    return ElementTree.tostring(root, encoding="unicode")


def slug(text: str) -> str:
    """Return a text as a valid name of a plot or an id.

    >>> slug("term/Forward KL")
    'term-forward-kl'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _head(root: ElementTree.Element, name: str, title: str) -> None:
    view_box = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib.update(
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": view_box,
            "role": "img",
            "aria-labelledby": f"{name}-title",
            "style": "stroke-linejoin: round; stroke-linecap: butt",
        }
    )
    heading = ElementTree.Element("title", {"id": f"{name}-title"})
    heading.text = printable(title)
    root.insert(0, heading)


def _drop(element: ElementTree.Element, tags: set[str]) -> None:
    for child in list(element):
        if _local(child.tag) in tags:
            element.remove(child)
        else:
            _drop(child, tags)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _page_colour(match: re.Match[str]) -> str:
    # The fixed colour remains as a fallback for a figure outside the page.
    return f"var({CSS_VARIABLES[match[0]]}, {match[0]})"


def _own_ids(value: str, attribute: str, name: str) -> str:
    if attribute == "id":
        return f"{name}-{value}"
    if attribute == "href":
        return value.replace("#", f"#{name}-", 1)
    return value.replace("url(#", f"url(#{name}-")
