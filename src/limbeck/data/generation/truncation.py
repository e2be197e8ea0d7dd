"""Rows that are too long: prompts are cut from the left, completions never."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from limbeck.data.generation.collate import TokenSequence

__all__ = ["Built", "Unencodable", "truncate_prompt"]


@dataclass(frozen=True)
class Built:
    """The token sequences of one row; several where a text fills several blocks."""

    sequences: list[TokenSequence]
    cut: bool = False
    """Whether its prompt lost tokens."""
    odd_border: bool = False
    """Whether the prompt is not what the chat template gives a model to go on with."""


class Unencodable(NamedTuple):
    """Why a row has no token sequence."""

    reason: str


def truncate_prompt(
    sequence: TokenSequence, kept: int, max_length: int, max_prompt: int | None
) -> Built | Unencodable:
    """Return `sequence` with its prompt cut from the left, so that both limits hold; the completion stays whole.

    Args:
        sequence: of a causal model.
        kept: tokens at the start (BOS) that are never cut.
        max_length: most tokens of prompt and completion.
        max_prompt: most tokens of the prompt; ``None``: no limit of its own.
    """
    completion = len(sequence.completion_ids)
    budget = min(max_length - completion, max_prompt or max_length)
    if budget <= kept:
        return Unencodable(
            f"its completion has {completion:,} tokens and leaves no room for a prompt: max_length is {max_length:,}"
        )
    ids, supervised = sequence.ids, sequence.supervised.copy()
    cut = sequence.border - budget
    if cut > 0:
        picked = np.r_[0:kept, kept + cut : len(ids)]
        ids, supervised = ids[picked], supervised[picked]
    supervised[0] = False  # nothing stands before it that could predict it
    return Built([TokenSequence(ids, supervised, min(sequence.border, budget), sequence.ended)], cut > 0)
