"""Rows with replaced completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from limbeck.data.generation.collate import TokenSequence, with_completion
from limbeck.data.generation.encoded import EncodedSequences

__all__ = ["take_rows", "with_completions", "written_sequences"]


def written_sequences(
    encoded: EncodedSequences, rows: Sequence[int], completions: Sequence[Sequence[int]]
) -> list[TokenSequence]:
    """Return the prompts of `rows` followed by a model's completions, cut at the rows' length limit."""
    found = []
    for row, ids in zip(rows, completions, strict=True):
        prompt = encoded.prompt_ids(int(row))
        budget = encoded.max_length - (0 if encoded.decoder_start is not None else len(prompt))
        found.append(with_completion(prompt, list(ids)[: max(1, budget)], encoded.end_ids))
    return found


def with_completions(encoded: EncodedSequences, completions: Mapping[int, Sequence[int]]) -> EncodedSequences:
    """Return the rows in `completions`, in ascending order, with these completions instead of their own.

    Args:
        encoded: the rows with the prompts.
        completions: token ids by row number, end tokens included; rows with none at all are left out.
    """
    rows = [row for row in sorted(completions) if len(completions[row])]
    sequences = written_sequences(encoded, rows, [completions[row] for row in rows])
    return _of(encoded, rows, sequences)


def take_rows(encoded: EncodedSequences, rows: Sequence[int] | NDArray[np.int64]) -> EncodedSequences:
    """Return some rows, in the given order."""
    return _of(encoded, [int(row) for row in rows], [encoded.sequence(int(row)) for row in rows])


def _of(encoded: EncodedSequences, rows: list[int], sequences: list[TokenSequence]) -> EncodedSequences:
    """Return sequences that came from `rows` as a separate data set."""
    return replace(
        encoded,
        ids=np.concatenate([sequence.ids for sequence in sequences]),
        targets=np.concatenate([sequence.supervised for sequence in sequences]),
        offsets=np.cumsum([0, *(len(sequence.ids) for sequence in sequences)], dtype=np.int64),
        borders=np.asarray([sequence.border for sequence in sequences], dtype=np.int64),
        ended=np.asarray([sequence.ended for sequence in sequences], dtype=np.bool_),
        example=encoded.example[rows],
        truncated=0,
        left_out=(),
        findings=(),
    )
