"""The temperature that calibrates the exported student's probabilities."""

from __future__ import annotations

from limbeck.formatting import count_text
from limbeck.report.block import Block
from limbeck.results.record import Results
from limbeck.results.sections import Calibration

__all__ = ["render"]


def render(section: Calibration, results: Results) -> Block:
    """Describe the fit of the temperature in one line."""
    whose = "gold labels" if section.labels == "gold" else "labels of the teacher"
    fact = (
        f"For calibration, alerts divide the student's logits by the temperature {section.temperature:.2f}, "
        f"fitted on {count_text(section.rows)} development rows with {whose}. The figures below are without it."
    )
    return Block(facts=[fact])
