"""Figures of a run on texts on the terminal."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from limbeck.generation_results import GenerationFigures, GenerationResults
from limbeck.report.generation_tables import generation_headline, generation_title

__all__ = ["show_generation_figures", "show_generation_results"]


def show_generation_results(results: GenerationResults, folder: Path, console: Console) -> None:
    """Print the headline table, the verdict, the warnings, and where things are."""
    console.print(f"\n{results.name}: figures on {results.test_rows} held-out rows (95 % intervals)", markup=False)
    show_generation_figures(results.figures, console)
    for sentence in results.verdict:
        console.print(f"- {sentence}", markup=False, soft_wrap=True)
    for warning in results.warnings:
        console.print(f"! {warning}", markup=False, soft_wrap=True)
    console.print(f"report:  {folder / 'report.html'}\nstudent: {folder / 'student'}", markup=False, soft_wrap=True)


def show_generation_figures(figures: GenerationFigures, console: Console) -> None:
    """Print one column per system, so that the table fits a narrow terminal."""
    shown = Table(box=box.SIMPLE_HEAD)
    shown.add_column("")
    for system in figures.systems:
        shown.add_column(Text(generation_title(figures, system.name)), justify="right")
    for column in generation_headline(figures):
        cells = [column.cell(system) for system in figures.systems]
        texts = [f"{cell.text}\n({cell.range})" if cell.range else cell.text for cell in cells]
        shown.add_row(Text(column.title), *(Text(text) for text in texts))
    console.print(shown)
