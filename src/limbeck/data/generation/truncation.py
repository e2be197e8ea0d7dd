"""Rows that are too long: prompts are cut from the left, completions never."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from limbeck.data.generation.collate import TokenSequence

__all__ = ["Built", "Unencodable", "truncate_prompt"]


@dataclass(frozen=True)
class Built:
    """The token sequences of one row; several if a text fills several blocks."""

    sequences: list[TokenSequence]
    cut: bool = False
    """Whether its prompt was cut."""
    odd_border: bool = False
    """Whether the prompt differs from the chat template's generation prompt."""


class Unencodable(NamedTuple):
    """Why a row has no token sequence."""

    reason: str


def truncate_prompt(
    sequence: TokenSequence, kept: int, max_length: int, max_prompt: int | None
) -> Built | Unencodable:
    """Return `sequence` with its prompt cut from the left, so that both limits hold; the completion is kept whole.

    Args:
        sequence: a sequence for a causal model.
        kept: tokens at the start (BOS) that are never cut.
        max_length: maximum tokens of prompt and completion.
        max_prompt: maximum tokens of the prompt; ``None``: no separate limit.
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
    supervised[0] = False  # there is nothing before it to predict it
    return Built([TokenSequence(ids, supervised, min(sequence.border, budget), sequence.ended)], cut > 0)
