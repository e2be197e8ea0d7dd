"""Figures of a run on texts on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from limbeck.cli.terminal import print_line, print_side_by_side
from limbeck.formatting import ABSENT
from limbeck.generation_results import GenerationFigures, GenerationResults, HarnessFigure
from limbeck.report.generation_tables import ONE_ANSWER, generation_headline, generation_title, one_answer_text

__all__ = ["show_generation_figures", "show_generation_results", "show_harness_figures"]


def show_generation_results(results: GenerationResults, folder: Path, console: Console) -> None:
    """Print the headline table, the verdict, the warnings, and where things are."""
    console.print(f"\n{results.name}: figures on {results.test_rows} held-out rows (95 % intervals)", markup=False)
    show_generation_figures(results.figures, console)
    for sentence in results.verdict:
        print_line(sentence, console, mark="- ")
    for warning in results.warnings:
        print_line(warning, console, mark="! ")
    console.print(f"report:  {folder / 'report.html'}\nstudent: {folder / 'student'}", markup=False, soft_wrap=True)


def show_generation_figures(figures: GenerationFigures, console: Console) -> None:
    """Print one column per system, so that the table fits a narrow terminal."""
    titles = [generation_title(figures, system.name) for system in figures.systems]
    rows = []
    for column in generation_headline(figures):
        cells = [column.cell(system) for system in figures.systems]
        rows.append((column.title, [f"{cell.text}\n({cell.range})" if cell.range else cell.text for cell in cells]))
    print_side_by_side(titles, rows, console)
    if figures.one_answer is not None:
        shares = [f"{c.title} {c.of_answer(figures.one_answer).text}" for c in generation_headline(figures)]
        known = ", ".join(share for share in shares if not share.endswith(ABSENT))
        print_line(f"{ONE_ANSWER}, {one_answer_text(figures)}: {known}.", console, mark="- ")


def show_harness_figures(figures: Sequence[HarnessFigure], console: Console) -> None:
    """Print a row for each metric of each task of lm-eval, and a column for each model."""
    names = {"distilled": "student", "teacher": "compared with"}
    systems = list(dict.fromkeys(figure.system for figure in figures))
    shown = Table(box=box.SIMPLE_HEAD)
    for title in ("task", "metric"):
        shown.add_column(title)
    for system in systems:
        shown.add_column(names[system], justify="right")
    found = {(figure.task, figure.metric, figure.system): figure for figure in figures}
    for task, metric in dict.fromkeys((figure.task, figure.metric) for figure in figures):
        cells = [found.get((task, metric, system)) for system in systems]
        shown.add_row(Text(task), Text(metric), *(Text(_harness_cell(cell)) for cell in cells))
    console.print(shown)


def _harness_cell(figure: HarnessFigure | None) -> str:
    if figure is None:
        return ""
    error = "" if figure.standard_error is None else f" ± {figure.standard_error:.3f}"
    return f"{figure.value:.3f}{error}"
