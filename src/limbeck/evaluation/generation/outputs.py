"""Raw outputs of the systems of a run on the held-out rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import DataError

__all__ = ["HeldOutTexts", "SystemOutputs"]


@dataclass(frozen=True)
class HeldOutTexts:
    """Prompts and references of the held-out rows, in order; both empty if rows are plain text."""

    prompts: Sequence[str]
    references: Sequence[str]


@dataclass(frozen=True)
class SystemOutputs:
    """Outputs of one system and training seed: sums over the supervised tokens of each row, ``[N]``, and answers."""

    tokens_N: NDArray[np.int64]
    """Supervised tokens of the reference in this system's tokenizer; at least 1."""
    nll_sum_N: NDArray[np.float64] | None
    """Sum of ``-log q(token)`` in nats; None if the system gives no probabilities."""
    kl_sum_N: NDArray[np.float64] | None = None
    """Sum of KL(teacher || student) in nats at temperature 1; None for the teacher, or if tokens differ."""
    agreed_N: NDArray[np.int64] | None = None
    """Tokens at which teacher and student agree on the most likely token; None as above."""
    right_N: NDArray[np.int64] | None = None
    """Tokens that are its most likely ones; None as for `nll_sum_N`, and in the files of older runs."""
    texts: Sequence[str | None] | None = None
    """Its answers, with None for rows that were not asked; None if it answered no row."""
    cut_off_N: NDArray[np.bool_] | None = None
    """Whether the token limit ended each answer; undefined for rows without an answer."""

    def __post_init__(self) -> None:
        rows = len(self.tokens_N)
        sums = (self.nll_sum_N, self.kl_sum_N, self.agreed_N, self.right_N)
        for values in (*sums, self.texts, self.cut_off_N):
            assert values is None or len(values) == rows
        if rows == 0:
            raise DataError("figures need held-out rows, but there are none; give test data or a larger test_size")
        if len(bare := np.flatnonzero(np.asarray(self.tokens_N) < 1)):
            raise DataError(
                f"held-out row {bare[0]} (counted from 0) has no supervised token: its completion is empty, or its "
                f"prompt fills the token limit; {len(bare)} of {rows} rows are like this. Leave them out, or raise "
                "training.max_length"
            )
