"""The shares of the teacher's figures that the systems keep."""

from __future__ import annotations

from functools import partial

from limbeck.report.block import Block
from limbeck.report.plots.dots import retention_dots
from limbeck.results.record import Results
from limbeck.results.sections import Retention

__all__ = ["render"]


def render(section: Retention, results: Results) -> Block:
    """Draw the kept share of each figure."""
    if not section.kept:
        return Block()
    meaning = "The student's figure over the teacher's; if less is better, the teacher's over the student's."
    return Block(
        "How much of the teacher is kept",
        plots=partial(retention_dots, results, section.kept),
        words={"Kept": meaning},
    )
