"""The figures of a run, printed on the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from limbeck.cli.terminal import print_line, print_side_by_side
from limbeck.formatting import p_value_text
from limbeck.report.block import Cell, Table
from limbeck.report.blocks import held_out_text
from limbeck.report.lookup import whole_comparisons
from limbeck.report.sections import section_blocks
from limbeck.report.tables import whole_table
from limbeck.report.values import difference_cell
from limbeck.results.record import Results

__all__ = ["show_comparisons", "show_figures", "show_results"]


def show_results(results: Results, folder: Path, console: Console) -> None:
    """Print the figures, verdict and warnings, and the paths of report and student."""
    held_out = held_out_text(results)
    measured = f"figures on {held_out} (95 % intervals)" if held_out else "figures with 95 % intervals"
    console.print(f"\n{results.run.name}: {measured}", markup=False)
    show_figures(results, console)
    for sentence in results.verdict:
        print_line(sentence, console, mark="- ")
    for warning in results.warnings:
        print_line(warning, console, mark="! ")
    console.print(f"report:  {folder / 'report.html'}\nstudent: {folder / 'student'}", markup=False, soft_wrap=True)


def show_figures(results: Results, console: Console) -> None:
    """Print the overall figures, one column per system if possible, then those of the sections."""
    figures = whole_table(results)
    if any(row.heading for row in figures.rows):
        _show(figures, console)
    elif figures.rows:
        # Systems side by side, so that the table fits a narrow terminal.
        titles = [row.cells[0].text for row in figures.rows]
        columns = [column.title for column in figures.columns[1:]]
        cells = zip(*([_text(cell) for cell in row.cells[1:]] for row in figures.rows), strict=True)
        print_side_by_side(titles, list(zip(columns, map(list, cells), strict=True)), console)
    for constant in results.roles("constant"):
        print_line(f"{constant.title}: {constant.detail}", console, mark="- ")
    for block in section_blocks(results):
        for table in block.brief():
            console.print(table.label, markup=False)
            _show(table, console)


def show_comparisons(results: Results, console: Console) -> None:
    """Print one line for each comparison over all rows."""
    for c in whole_comparisons(results):
        metric = results.metric(c.metric)
        difference = difference_cell(metric, c).flat()
        systems = f"{results.title(c.first)} - {results.title(c.second)}"
        print_line(f"{systems}, {metric.title}: {difference}, {p_value_text(c.p_value())}", console)


def _show(table: Table, console: Console) -> None:
    columns = [column.title for column in table.columns[1:]]
    rows = [(row.cells[0].text, [_text(c) for c in row.cells[1:]] or [""] * len(columns)) for row in table.rows]
    print_side_by_side(columns, rows, console)


def _text(cell: Cell) -> str:
    return f"{cell.text}\n({cell.small})" if cell.small else cell.text
