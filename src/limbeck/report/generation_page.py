"""The report of a generating student: one HTML page that holds all it needs."""

from __future__ import annotations

from limbeck.generation_results import GenerationResults
from limbeck.report.generation_figures import draw_generation_figures
from limbeck.report.generation_summary import generation_key_figures
from limbeck.report.generation_tables import (
    ONE_ANSWER,
    generation_comparison_rows,
    generation_headline,
    generation_seed_rows,
    generation_system,
    generation_title,
    loss_rows,
    one_answer_text,
    written_rows,
)
from limbeck.report.places import without_places
from limbeck.report.tables import stage_cost_rows
from limbeck.report.templates import html_environment

__all__ = ["render_generation_report"]


def render_generation_report(results: GenerationResults) -> str:
    """Return the report of a run with a generating student as HTML; the same record gives the same text."""
    results, shortened = without_places(results)
    figures = results.figures
    return (
        html_environment()
        .get_template("generation_page.html.j2")
        .render(
            results=results,
            shortened=shortened,
            key_figures=generation_key_figures(results),
            headline=generation_headline(figures),
            one_answer_title=ONE_ANSWER,
            one_answer=one_answer_text(figures),
            not_tuned=generation_system(figures, "fine_tuned") is not None,
            losses=loss_rows(figures),
            seeds=generation_seed_rows(figures),
            comparisons=generation_comparison_rows(figures),
            written=written_rows(figures),
            costs=stage_cost_rows(results.costs, lambda name: generation_title(figures, name)),
            titles={system.name: system.title for system in figures.systems},
            drawings=draw_generation_figures(results),
        )
    )
