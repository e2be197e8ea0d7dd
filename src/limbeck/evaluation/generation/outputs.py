"""What the systems of a run did on the held-out rows, before anything is summed up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import DataError

__all__ = ["HeldOutTexts", "SystemOutputs"]


@dataclass(frozen=True)
class HeldOutTexts:
    """Prompts and references of the held-out rows, in their order; both empty where rows are plain text."""

    prompts: Sequence[str]
    references: Sequence[str]


@dataclass(frozen=True)
class SystemOutputs:
    """What one system did with one training seed: sums over the supervised tokens of each row, ``[N]``, and texts."""

    tokens_N: NDArray[np.int64]
    """Supervised tokens of the reference, as this system's tokenizer has them; at least 1."""
    nll_sum_N: NDArray[np.float64] | None
    """Sum of ``-log q(token)`` in nats; None where the system gives no probabilities."""
    kl_sum_N: NDArray[np.float64] | None = None
    """Sum of KL(teacher || student) in nats at temperature 1; None for the teacher, or with other tokens."""
    agreed_N: NDArray[np.int64] | None = None
    """At how many tokens teacher and student hold the same one likeliest; None as above."""
    texts: Sequence[str | None] | None = None
    """The answers it wrote, with None for rows that nobody was asked about; None where it wrote none at all."""
    cut_off_N: NDArray[np.bool_] | None = None
    """Which answers the limit of tokens ended; anything where a row was not answered."""

    def __post_init__(self) -> None:
        rows = len(self.tokens_N)
        for values in (self.nll_sum_N, self.kl_sum_N, self.agreed_N, self.texts, self.cut_off_N):
            assert values is None or len(values) == rows
        if rows == 0:
            raise DataError("figures need held-out rows, but there are none; give test data or a larger test_size")
        if len(bare := np.flatnonzero(np.asarray(self.tokens_N) < 1)):
            raise DataError(
                f"held-out row {bare[0]} (counted from 0) has no supervised token: its completion is empty, or its "
                f"prompt fills the token limit; {len(bare)} of {rows} rows are like this. Leave them out, or raise "
                "training.max_length"
            )
