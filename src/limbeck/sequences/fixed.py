"""Fixed rows in length-bucketed batches.

The whole plan (which rows, in which batch, in which order) is a function of the rows' lengths, the
batch size and the seed only. It does not depend on how a step is split into micro-batches or over
ranks, and a run that resumes at step k skips k steps of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FixedSequences", "split_batches"]

_POOL_BATCHES = 50
"""Rows are sorted by length within pools of this many batches: little padding, and still a random order."""


@dataclass(frozen=True)
class FixedSequences:
    """Batches of `batch_size` rows for `steps` optimiser steps, every epoch in a new order.

    Epochs follow each other without a short batch between them, so every step has the same number
    of rows. Every row is seen ``steps * batch_size / len(rows)`` times, plus or minus one.
    """

    rows: NDArray[np.int64]
    """Row numbers to draw from."""
    lengths: NDArray[np.int64]
    """Tokens of every row, indexed by row number."""
    batch_size: int
    steps: int
    seed: int

    def batches(self) -> Iterator[NDArray[np.int64]]:
        """Yield the rows of each optimiser step, shortest first."""
        assert len(self.rows), "nothing to draw from"
        rng = np.random.default_rng(self.seed)
        # No pool longer than an epoch: equal rows have equal lengths and would meet in one batch.
        pool_batches = max(1, min(_POOL_BATCHES, len(self.rows) // self.batch_size))
        waiting = np.empty(0, dtype=np.int64)
        left = self.steps
        while left > 0:
            wanted = min(pool_batches, left) * self.batch_size
            while len(waiting) < wanted:
                waiting = np.concatenate([waiting, rng.permutation(self.rows)])
            pool, waiting = waiting[:wanted], waiting[wanted:]
            pool = pool[np.argsort(self.lengths[pool], kind="stable")]
            batches = pool.reshape(-1, self.batch_size)
            yield from batches[rng.permutation(len(batches))]
            left -= len(batches)

    def micro_batches(self, per_step: int, *, rank: int = 0, ranks: int = 1) -> Iterator[NDArray[np.int64]]:
        """Yield this rank's micro-batches, ``per_step / ranks`` for each optimiser step.

        The micro-batches of all ranks are a partition of the step's rows.
        """
        return split_batches(self.batches(), self.batch_size, per_step, rank=rank, ranks=ranks)


def split_batches(
    batches: Iterator[NDArray[np.int64]], batch_size: int, per_step: int, *, rank: int, ranks: int
) -> Iterator[NDArray[np.int64]]:
    """Yield a rank's parts of each batch; a batch is split into `per_step` equal parts over all ranks."""
    assert per_step % ranks == 0
    assert batch_size % per_step == 0
    for batch in batches:
        yield from np.split(batch, per_step)[rank::ranks]
