"""Two plans of batches, mixed by a coin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.sequences.fixed import FixedSequences, split_batches

__all__ = ["MixedSequences"]


@dataclass(frozen=True)
class MixedSequences:
    """Each optimiser step takes the next batch of one of two plans, with probability 1/2 each.

    Both plans have the same batch size, lengths and number of steps; the coin depends only on `seed`.
    """

    first: FixedSequences
    second: FixedSequences
    seed: int

    @property
    def batch_size(self) -> int:
        """Rows of a step."""
        return self.first.batch_size

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return self.first.steps

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of every row, indexed by row number."""
        return self.first.lengths

    def batches(self) -> Iterator[NDArray[np.int64]]:
        """Yield the rows of each optimiser step."""
        coin = np.random.default_rng(self.seed)
        plans = self.first.batches(), self.second.batches()
        for _ in range(self.steps):
            yield next(plans[int(coin.integers(2))])

    def micro_batches(self, per_step: int, *, rank: int = 0, ranks: int = 1) -> Iterator[NDArray[np.int64]]:
        """Yield this rank's micro-batches, ``per_step / ranks`` for each optimiser step."""
        return split_batches(self.batches(), self.batch_size, per_step, rank=rank, ranks=ranks)
