"""How the students of a run generate text."""

from __future__ import annotations

from limbeck.formatting import count_text
from limbeck.report.block import Block
from limbeck.results.record import Results
from limbeck.results.sections import Writing

__all__ = ["render"]


def render(section: Writing, results: Results) -> Block:
    """Describe the task and the decoding, one line each."""
    architecture = "a sequence-to-sequence model" if section.encoder_decoder else "a causal model"
    facts = [
        f"Task: {section.task}; the student is {architecture}. The held-out references have "
        f"{count_text(section.test_tokens)} tokens."
    ]
    if section.decoding:
        facts.append(f"Decoding of answers: {section.decoding}.")
    return Block(facts=facts)
