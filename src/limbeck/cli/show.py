"""The end of a run, on the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from limbeck.cli.terminal import table
from limbeck.report.tables import headline_rows
from limbeck.results import Results

__all__ = ["show_results"]


def show_results(results: Results, folder: Path, console: Console) -> None:
    """Print the headline table, the verdict, the warnings, and where things are."""
    console.print()
    console.print(table(headline_rows(results), title=f"{results.name}: {results.test_rows} held-out rows"))
    for sentence in results.verdict:
        console.print(f"- {sentence}", markup=False, soft_wrap=True)
    for warning in results.warnings:
        console.print(f"! {warning}", markup=False, soft_wrap=True)
    console.print(f"report:  {folder / 'report.html'}\nstudent: {folder / 'student'}", markup=False, soft_wrap=True)
