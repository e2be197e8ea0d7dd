"""The trained part of the student, if not all of it was trained."""

from __future__ import annotations

from limbeck.formatting import count_text, share_text
from limbeck.report.block import Block
from limbeck.results.record import Results
from limbeck.results.sections import Adapter

__all__ = ["render"]


def render(section: Adapter, results: Results) -> Block:
    """Say in one line what was trained."""
    share = share_text(section.trainable_parameters / section.parameters)
    fact = (
        f"Trained with an adapter ({section.name}): {count_text(section.trainable_parameters)} of "
        f"{count_text(section.parameters)} parameters ({share}), including the head; all others are unchanged, "
        "which was checked."
    )
    return Block(facts=[fact])
