"""Figures of a cross-lingual run on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from limbeck.cli.terminal import print_line
from limbeck.data.languages import language_name
from limbeck.formatting import bare_range, count_text, decimal_text, share_text
from limbeck.language_results import LanguageResults, LanguageSystem
from limbeck.report.language_comparisons import labels_text
from limbeck.report.language_rows import left_behind
from limbeck.report.language_tables import system_rows
from limbeck.report.retention import focus_of

__all__ = ["show_language_results", "show_ranking_student"]


def show_language_results(results: LanguageResults, folder: Path, console: Console) -> None:
    """Print the systems at each label budget, the languages, the verdict, the warnings, and where things are."""
    languages = f"{len(results.languages)} target language{'s' if len(results.languages) != 1 else ''}"
    console.print(f"\n{results.name}: macro averages over {languages}", markup=False)
    _show_systems(results, console)
    _show_languages(results, console)
    for sentence in results.verdict:
        print_line(sentence, console, mark="- ")
    for warning in results.warnings:
        print_line(warning, console, mark="! ")
    console.print(f"report:  {folder / 'report.html'}\nstudent: {folder / 'student'}", markup=False, soft_wrap=True)


def show_ranking_student(system: LanguageSystem, console: Console) -> None:
    """Print accuracy, mean reciprocal rank and the tasks' own figures of one student in each task and language."""
    shown = _table(["language", "task", "records", "accuracy", "95 %", "MRR"], left=2)
    for cell in system.cells:
        figures = [share_text(cell.accuracy.value), bare_range(cell.accuracy), decimal_text(cell.mrr.value)]
        shown.add_row(*map(Text, [language_name(cell.lang), cell.task, count_text(cell.records), *figures]))
    targets = {cell.lang for cell in system.cells if cell.resource != "source"}
    if len(targets) > 1:
        macro = [share_text(system.macro_accuracy.value), bare_range(system.macro_accuracy)]
        shown.add_section()
        row = [f"mean of {len(targets)} target languages", "", "", *macro, decimal_text(system.macro_mrr.value)]
        shown.add_row(*map(Text, row))
    console.print(shown)
    own = [(cell, title, interval) for cell in system.cells
           for title, interval in (("nDCG", cell.ndcg), ("span F1", cell.span_f1)) if interval]  # fmt: skip
    if own:
        shown = _table(["language", "task", "figure", "value", "95 %"], left=3)
        for cell, title, interval in own:
            figures = [decimal_text(interval.value), bare_range(interval, unit="nats")]  # decimals without a unit
            shown.add_row(*map(Text, [language_name(cell.lang), cell.task, title, *figures]))
        console.print(shown)


def _show_systems(results: LanguageResults, console: Console) -> None:
    shown = _table(["labels", "system", "accuracy", "95 %", "MRR", "low", "hours"], left=2)
    for group in system_rows(results):
        for place, row in enumerate(group.rows):
            labels = group.labels if place == 0 else ""
            cells = [labels, row.title, row.accuracy, row.accuracy_range, row.mrr, row.low]
            shown.add_row(*map(Text, [*cells, row.device_hours]))
        shown.add_section()
    console.print(shown)


def _show_languages(results: LanguageResults, console: Console) -> None:
    system = focus_of(results)
    rows = left_behind(results, system) if system else []
    if not (system and rows):
        return
    labels = labels_text(system.n_target)
    console.print(f"{system.title}, {labels} for each task and language", markup=False)
    shown = _table(["language", "accuracy", "kept", "best other", "", "distillation"], left=1, names=(0, 3))
    for row in rows:
        cells = [row.name, row.accuracy, row.kept, row.other_title, row.other_accuracy]
        shown.add_row(*map(Text, [*cells, row.distillation]))
    console.print(shown)


def _table(titles: list[str], left: int, names: Sequence[int] = ()) -> Table:
    """Columns of `names` (default: those on the left) are wrapped where the terminal is narrow; figures never are."""
    table = Table(box=box.SIMPLE_HEAD)
    for place, title in enumerate(titles):
        wraps = place in (names or range(left))
        table.add_column(title, justify="left" if place < left else "right", no_wrap=not wraps, overflow="fold")
    return table
