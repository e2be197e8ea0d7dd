"""How speed was measured; the figures are in the table of systems."""

from __future__ import annotations

from limbeck.report.block import Block
from limbeck.results.record import Results
from limbeck.results.sections import Speeds

__all__ = ["render"]


def render(section: Speeds, results: Results) -> Block:
    """Tell how busy the machine was."""
    if section.other_cores is None or section.cores is None:
        return Block()
    fact = (
        f"Speed was measured in turn on the same rows, while other programs kept {section.other_cores:.1f} of "
        f"{section.cores} processor cores busy."
    )
    return Block(facts=[fact])
