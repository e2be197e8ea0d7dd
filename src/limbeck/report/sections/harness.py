"""Tasks of the Language Model Evaluation Harness."""

from __future__ import annotations

from limbeck.formatting import ABSENT
from limbeck.report.block import Block, Cell, Column, Row, Table
from limbeck.report.palette import looks
from limbeck.results.record import Results
from limbeck.results.sections import Harness, HarnessFigure

__all__ = ["render"]


def render(section: Harness, results: Results) -> Block:
    """Show a row for each metric of each task, and a column for each system."""
    if not section.figures:
        return Block()
    systems = list(dict.fromkeys(figure.system for figure in section.figures))
    found = {(figure.task, figure.metric, figure.system): figure for figure in section.figures}
    known = looks(results)
    columns = [
        Column("Task", kind="words"),
        Column("Metric", kind="words"),
        *(Column(results.title(name), "± standard error", look=known.get(name)) for name in systems),
    ]
    rows = [
        Row([Cell(task), Cell(metric), *(_cell(found.get((task, metric, name))) for name in systems)])
        for task, metric in dict.fromkeys((figure.task, figure.metric) for figure in section.figures)
    ]
    lead = "By the Language Model Evaluation Harness (lm-eval); figures of different task versions cannot be compared."
    return Block("lm-eval", lead, tables=[Table("Tasks of lm-eval", columns, rows, brief=True)])


def _cell(figure: HarnessFigure | None) -> Cell:
    if figure is None:
        return Cell(ABSENT)
    error = "" if figure.standard_error is None else f" ± {figure.standard_error:.3f}"
    return Cell(f"{figure.value:.3f}{error}")
