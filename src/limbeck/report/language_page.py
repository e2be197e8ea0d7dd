"""The report of a cross-lingual run: one HTML page that holds all it needs."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.formatting import shorten
from limbeck.language_results import LanguageResults
from limbeck.report.drawing import Drawing
from limbeck.report.language_comparisons import labels_text, macro_rows
from limbeck.report.language_figures import LanguageFigures, draw_language_figures
from limbeck.report.language_rows import LanguageRow, LeftBehind, language_parts, language_rows, left_behind
from limbeck.report.language_summary import language_key_figures
from limbeck.report.language_tables import (
    cost_rows,
    english_rows,
    gate_rows,
    official_rows,
    seed_rows,
    system_rows,
    task_rows,
)
from limbeck.report.places import without_places
from limbeck.report.retention import budgets, focus_of, language_name, system_title
from limbeck.report.tables import stage_cost_rows
from limbeck.report.templates import html_environment

__all__ = ["render_language_report"]


@dataclass(frozen=True)
class _Budget:
    """What the page shows of the system it is about, at one label budget."""

    n_target: int
    labels: str
    languages: list[LanguageRow]
    left_behind: list[LeftBehind]
    figures: list[Drawing]


def render_language_report(results: LanguageResults) -> str:
    """Return the report of a cross-lingual run as HTML; the same record gives the same text."""
    results, shortened = without_places(results)
    figures = draw_language_figures(results)
    return (
        html_environment()
        .get_template("language_page.html.j2")
        .render(
            results=results,
            shortened=shortened,
            key_figures=language_key_figures(results),
            focus=focus_of(results),
            source=shorten(language_name(results, results.source_language), 40),
            target_names=[shorten(language_name(results, lang), 40) for lang in results.languages],
            groups=system_rows(results),
            tasks=task_rows(results),
            official=official_rows(results),
            seeds=seed_rows(results),
            budgets=_budgets(results, figures),
            parts=language_parts(results),
            comparisons={metric: macro_rows(results, metric) for metric in ("accuracy", "mrr")},
            english=english_rows(results),
            gate=gate_rows(results),
            costs=cost_rows(results),
            stage_costs=stage_cost_rows(results.stage_costs, lambda name: system_title(results, name)),
            baseline_title=system_title(results, "ml_dft") if _has(results, "ml_dft") else "ML-DFT",
            figures=figures,
        )
    )


def _budgets(results: LanguageResults, figures: LanguageFigures) -> list[_Budget]:
    """Collect the label budgets at which the system was trained, the largest first."""
    found = [(n_target, focus_of(results, n_target)) for n_target in reversed(budgets(results))]
    return [
        _Budget(
            n_target,
            labels_text(n_target),
            language_rows(results, system),
            left_behind(results, system),
            figures.gaps[n_target],
        )
        for n_target, system in found
        if system
    ]


def _has(results: LanguageResults, name: str) -> bool:
    return any(system.name == name for system in results.systems)
