"""The report: one self-contained HTML page that needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from limbeck.atomic import guard_storage, write_text
from limbeck.formatting import count_text
from limbeck.report.block import Block
from limbeck.report.blocks import keys_of, report_blocks, words_of
from limbeck.report.places import without_places
from limbeck.report.plotting import Plot, slug
from limbeck.report.templates import html_environment
from limbeck.results.record import Results

__all__ = ["render_report", "write_report"]

_USES = {
    "train": "training rows",
    "labelled": "of them with a label",
    "test": "held-out rows",
    "left_out": "rows left out",
}


def write_report(results: Results, path: Path) -> None:
    """Write the report of a run of any kind as one self-contained HTML file.

    Raises:
        StorageError: the file cannot be written; an older report at `path` is kept.
    """
    page = render_report(results)
    with guard_storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)


def render_report(results: Results) -> str:
    """Return the report of a run as HTML; the same record gives the same text."""
    results, shortened = without_places(results)
    blocks = report_blocks(results)
    return (
        html_environment()
        .get_template("page.html.j2")
        .render(
            results=results,
            name=results.run.name,
            version=results.run.limbeck_version,
            shortened=shortened,
            facts=[fact for block in blocks for fact in block.facts],
            rows=rows_text(results),
            keys=keys_of(results, blocks),
            blocks=[drawn for block in blocks if (drawn := _draw(block))],
            words=words_of(results, blocks),
        )
    )


@dataclass(frozen=True)
class _Drawn:
    """A block with its plots, without empty parts."""

    block: Block
    id: str
    plots: list[Plot]
    parts: list[_Drawn]


def _draw(block: Block, path: str = "") -> _Drawn | None:
    """Return the drawn block, or ``None`` if it is empty."""
    name = f"{path}-{slug(block.title)}".strip("-")
    parts = [drawn for number, part in enumerate(block.parts) if (drawn := _draw(part, f"{name}-{number}"))]
    drawn = _Drawn(block, name, block.plots(), parts)
    return drawn if block.tables or block.quotes or drawn.plots or parts else None


def rows_text(results: Results) -> str:
    """Return the numbers of rows by use, and of seeds, in words."""
    rows = dict(results.run.rows)
    if rows.get("labelled") == rows.get("train"):
        rows.pop("labelled", None)
    parts = [f"{count_text(rows[use])} {words}" for use, words in _USES.items() if rows.get(use)]
    seeds = len(results.run.seeds)
    parts += [f"{seeds} seed{'s' if seeds != 1 else ''}"] if seeds else []
    return " · ".join(parts)
