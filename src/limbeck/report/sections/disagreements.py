"""Held-out rows on which student and teacher differ."""

from __future__ import annotations

from limbeck.formatting import ABSENT, count_text, share_text
from limbeck.report.block import Block, Cell, Column, Row, Table
from limbeck.report.palette import MAIN, TEACHER
from limbeck.results.record import Results
from limbeck.results.sections import Disagreement, Disagreements

__all__ = ["render"]

_SHOWN = 40


def render(section: Disagreements, results: Results) -> Block:
    """Show the most confident disagreements."""
    shown = section.rows[:_SHOWN]
    of_all = f" of {count_text(len(section.rows))}" if len(shown) < len(section.rows) else ""
    columns = [
        Column("Text", kind="quote"),
        Column("Gold label", kind="label"),
        Column("Teacher", kind="label", look=TEACHER),
        Column("Student", kind="label", look=MAIN),
        Column("Right", kind="words"),
    ]
    table = Table("Where student and teacher disagree", columns, [_row(row) for row in shown])
    lead = f"{count_text(len(shown))}{of_all} held-out rows. Below each answer: the confidence of the system."
    return Block("Where student and teacher disagree", lead, tables=[table] if shown else [])


def _row(row: Disagreement) -> Row:
    return Row(
        [
            Cell(row.text, second=row.text_pair),
            Cell(ABSENT if row.gold is None else row.gold),
            Cell(row.teacher_label, share_text(row.teacher_confidence)),
            Cell(row.student_label, share_text(row.student_confidence)),
            Cell(_who_is_right(row)),
        ]
    )


def _who_is_right(row: Disagreement) -> str:
    if row.gold is None:
        return "no label"
    return {row.teacher_label: "teacher", row.student_label: "student"}.get(row.gold, "neither")
