"""Training rows that the student looks up when it answers."""

from __future__ import annotations

from limbeck.formatting import count_text
from limbeck.report.block import Block
from limbeck.results.record import Results
from limbeck.results.sections import RetrievalMemory

__all__ = ["render"]


def render(section: RetrievalMemory, results: Results) -> Block:
    """Say in one line what is looked up, and what figures do not cover."""
    how = (
        f"chosen on {count_text(section.chosen_on)} development rows" if section.chosen_on else "as the recipe has it"
    )
    fact = (
        f"Answers are mixed with the teacher's for the {section.neighbours} nearest of {count_text(section.rows)} "
        f"training rows, in a memory beside the weights; share of the student's own probabilities "
        f"{section.own_share:g}, temperature {section.temperature:g}, {how}. Size and speed are those of the student "
        "without it."
    )
    limit = (
        "Figures are with the memory of training rows, which only limbeck reads; to other libraries the folder is the "
        "classifier without it. The memory holds an embedding of each training row: treat it like the rows."
    )
    return Block(facts=[fact], limits=[limit])
