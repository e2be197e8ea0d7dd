"""The accuracy on the source language while training on other languages."""

from __future__ import annotations

from limbeck.formatting import ABSENT
from limbeck.report.block import Block, Cell, Column, Row, Table
from limbeck.report.lookup import budget_text, headline_metric
from limbeck.report.tables import system_cell
from limbeck.report.values import difference_text, value_text
from limbeck.results.record import Results
from limbeck.results.sections import Forgetting, Languages, SourceCheck

__all__ = ["render"]


def render(section: Forgetting, results: Results) -> Block:
    """Show the source language after each stage."""
    if not section.checks:
        return Block()
    languages = results.section(Languages)
    source = (languages.names.get(languages.source) or languages.source) if languages else "the source language"
    columns = [
        Column("System", kind="words"),
        Column("Labels"),
        Column("After stage", kind="words"),
        Column(headline_metric(results).title),
        Column("Change"),
        Column("Alarm", kind="words"),
    ]
    lead = (
        f"Learning other languages must not cost {source}. A loss of two points or more against the teacher raises "
        "an alarm."
    )
    title = f"{source[:1].upper()}{source[1:]} after each stage"
    rows = [_row(results, check) for check in section.checks]
    return Block(title, lead, tables=[Table(title, columns, rows)])


def _row(results: Results, check: SourceCheck) -> Row:
    metric = headline_metric(results)
    alarm = Cell("2 points or more lost", emphasis="alarm") if check.alarm else Cell(ABSENT)
    return Row(
        [
            system_cell(results, check.system),
            Cell(ABSENT if check.budget is None else budget_text(check.budget)),
            Cell(check.stage),
            Cell(value_text(metric, check.accuracy)),
            Cell(difference_text(metric, check.change)),
            alarm,
        ]
    )
