"""The temperatures that calibrate probabilities."""

from __future__ import annotations

from limbeck.formatting import count_text
from limbeck.report.block import Block
from limbeck.results.record import Results
from limbeck.results.sections import Calibration

__all__ = ["render"]

_NOT_IN_WEIGHTS = (
    "Other programs, such as transformers' pipeline or Sentence Transformers, know nothing of the temperature. "
    "limbeck calibrate THIS_FOLDER --fold FOLDER writes a copy with the temperature in its weights."
)


def render(section: Calibration, results: Results) -> Block:
    """Describe the fits, and what they apply to."""
    whose = "gold labels" if section.labels == "gold" else "labels of the teacher"
    fact = (
        f"For calibrated confidence, the student's logits are divided by the temperature {section.temperature:.2f}, "
        f"fitted on {count_text(section.rows)} development rows with {whose}."
    )
    if not section.systems:
        return Block(facts=[f"{fact} The figures below are without it."])
    others = [
        f"{results.title(name)} {' and '.join(f'{one:.2f}' for one in temperatures)}"
        for name, temperatures in section.systems.items()
    ]
    scope = (
        f"Temperatures of all systems: {'; '.join(others)}. Calibration error, loss and confidence are with them, KL "
        "and agreement without."
    )
    return Block(facts=[fact, scope], limits=[] if section.temperature == 1 else [_NOT_IN_WEIGHTS])
