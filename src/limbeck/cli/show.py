"""Figures on the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from limbeck.cli.show_languages import show_language_results
from limbeck.cli.show_texts import show_generation_results
from limbeck.cli.terminal import print_line, print_side_by_side
from limbeck.formatting import p_value_text, points_text, range_text
from limbeck.generation_results import GenerationResults
from limbeck.language_results import LanguageResults
from limbeck.report.tables import HEADLINE, METRIC_TITLES, ONE_VS_REST
from limbeck.results import Comparison, Results, System

__all__ = ["show_comparisons", "show_results", "show_systems"]

_SHORT_TITLES = {
    "teacher": "teacher",
    "student_before": "student before",
    "fine_tuned": "fine-tuned",
    "random_order": "random order",
    "distilled": "distilled",
}


def show_results(results: Results | LanguageResults | GenerationResults, folder: Path, console: Console) -> None:
    """Print the headline table, the verdict, the warnings, and where things are."""
    if isinstance(results, LanguageResults):
        show_language_results(results, folder, console)
        return
    if isinstance(results, GenerationResults):
        show_generation_results(results, folder, console)
        return
    console.print(f"\n{results.name}: figures on {results.test_rows} held-out rows (95 % intervals)", markup=False)
    show_systems(results.systems, _SHORT_TITLES, console)
    for sentence in results.verdict:
        print_line(sentence, console, mark="- ")
    for warning in results.warnings:
        print_line(warning, console, mark="! ")
    console.print(f"report:  {folder / 'report.html'}\nstudent: {folder / 'student'}", markup=False, soft_wrap=True)


def show_systems(systems: list[System], titles: dict[str, str], console: Console) -> None:
    """Print one column per system, so that the table fits a narrow terminal."""
    rows = []
    for column in [*HEADLINE[:2], *ONE_VS_REST, *HEADLINE[2:]]:
        cells = [column.cell(system) for system in systems]
        rows.append((column.title, [f"{cell.text}\n({cell.range})" if cell.range else cell.text for cell in cells]))
    print_side_by_side([titles[system.name] for system in systems], rows, console)


def show_comparisons(comparisons: list[Comparison], titles: dict[str, str], console: Console) -> None:
    """Print one line per comparison."""
    for c in comparisons:
        print_line(
            f"{titles[c.first]} - {titles[c.second]}, {METRIC_TITLES[c.metric]}: {points_text(c.difference.value)} "
            f"({range_text(c.difference, unit='points')}), {p_value_text(c.bootstrap_p_value)}",
            console,
        )
