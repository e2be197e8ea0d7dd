"""What makes the exported student's probabilities honest."""

from __future__ import annotations

from limbeck.formatting import count_text
from limbeck.report.block import Block
from limbeck.results.record import Results
from limbeck.results.sections import Calibration

__all__ = ["render"]


def render(section: Calibration, results: Results) -> Block:
    """Say in one line how the temperature was found."""
    whose = "gold labels" if section.labels == "gold" else "labels of the teacher"
    fact = (
        f"Alerts divide the student's logits by the temperature {section.temperature:.2f}, fitted on "
        f"{count_text(section.rows)} development rows with {whose}; the figures below are before that."
    )
    return Block(facts=[fact])
