"""The report: one HTML page that holds all it needs and asks nothing of the network."""

from __future__ import annotations

from pathlib import Path

from limbeck.atomic import guard_storage, write_text
from limbeck.generation_results import GenerationResults
from limbeck.language_results import LanguageResults
from limbeck.report.figures import draw_figures
from limbeck.report.generation_page import render_generation_report
from limbeck.report.language_page import render_language_report
from limbeck.report.places import without_places
from limbeck.report.summary import key_figures
from limbeck.report.tables import (
    HEADLINE,
    absence_notes,
    adapter_text,
    calibration_text,
    class_rows,
    comparison_rows,
    cost_rows,
    one_vs_rest_rows,
    seed_rows,
    system_of,
    systems_shown,
    teacher_labels_text,
)
from limbeck.report.templates import html_environment
from limbeck.results import Disagreement, Results

__all__ = ["render_report", "write_report"]

_DISAGREEMENTS_SHOWN = 40


def write_report(results: Results | LanguageResults | GenerationResults, path: Path) -> None:
    """Write the report of a run of any kind as one self-contained HTML file.

    Raises:
        StorageError: the file cannot be written; an older report at `path` is still there.
    """
    if isinstance(results, GenerationResults):
        page = render_generation_report(results)
    else:
        page = render_language_report(results) if isinstance(results, LanguageResults) else render_report(results)
    with guard_storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)


def render_report(results: Results) -> str:
    """Return the report of a classification run as HTML; the same record gives the same text."""
    results, shortened = without_places(results)
    shown = results.disagreements[:_DISAGREEMENTS_SHOWN]
    return (
        html_environment()
        .get_template("page.html.j2")
        .render(
            results=results,
            shortened=shortened,
            key_figures=key_figures(results),
            headline=HEADLINE,
            systems_shown=systems_shown(results),
            not_tuned=system_of(results, "fine_tuned") is not None,
            seeds=seed_rows(results),
            notes=absence_notes(results),
            teacher=teacher_labels_text(results.teacher_labels),
            adapter=adapter_text(results.adapter),
            calibration=calibration_text(results.calibration),
            comparisons=comparison_rows(results),
            costs=cost_rows(results),
            classes=class_rows(results),
            one_vs_rest=one_vs_rest_rows(results),
            disagreements=[(row, _who_is_right(row)) for row in shown],
            figures=draw_figures(results),
        )
    )


def _who_is_right(row: Disagreement) -> str:
    if row.gold is None:
        return "no label"
    right = {row.teacher_label: "teacher", row.student_label: "student"}.get(row.gold)
    return right or "neither"
