"""The report: one HTML page that holds all it needs and asks nothing of the network."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup, escape

from limbeck.atomic import guard_storage, write_text
from limbeck.report.figures import draw_figures
from limbeck.report.formatting import count_text, printable, share_text, shorten
from limbeck.report.summary import key_figures
from limbeck.report.tables import HEADLINE, absence_notes, class_rows, comparison_rows, cost_rows, seed_rows
from limbeck.results import Disagreement, Results

__all__ = ["render_report", "write_report"]

_DISAGREEMENTS_SHOWN = 40


def write_report(results: Results, path: Path) -> None:
    """Write the report as one self-contained HTML file.

    Raises:
        StorageError: the file cannot be written; an older report at `path` is still there.
    """
    page = render_report(results)
    with guard_storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)


def render_report(results: Results) -> str:
    """Return the report as HTML; the same record gives the same text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable_only,
    )
    environment.filters["breakable"] = _breakable
    shown = results.disagreements[:_DISAGREEMENTS_SHOWN]
    return environment.get_template("page.html.j2").render(
        results=results,
        key_figures=key_figures(results),
        headline=HEADLINE,
        seeds=seed_rows(results),
        notes=absence_notes(results),
        comparisons=comparison_rows(results),
        costs=cost_rows(results),
        classes=class_rows(results),
        disagreements=[(row, _who_is_right(row)) for row in shown],
        figures=draw_figures(results),
        count=count_text,
        share=share_text,
        shorten=shorten,
        # SVG comes out of an XML writer, which has escaped all text in it.
        inline=Markup,
    )


def _printable_only(value: object) -> object:
    # Markup is a str too, and must stay Markup, or it would be escaped.
    return printable(value) if type(value) is str else value


def _breakable(label: str) -> Markup:
    """Let a long label break after an underscore, without a character that would be copied along."""
    return escape(printable(label)).replace("_", Markup("_<wbr>"))


def _who_is_right(row: Disagreement) -> str:
    if row.gold is None:
        return "no label"
    right = {row.teacher_label: "teacher", row.student_label: "student"}.get(row.gold)
    return right or "neither"
