"""Sequences whose row numbers also tell how often a row was read before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from limbeck.sequences.fixed import FixedSequences, split_batches

__all__ = ["NumberedPasses"]


@dataclass(frozen=True)
class NumberedPasses:
    """`FixedSequences` with number ``row + N * pass`` for a row that was read `pass` times before; N rows in all.

    What is drawn anew for each reading, such as masks, then follows from the number. It is the same for every split
    into micro-batches or over ranks, and after a restart.
    """

    plan: FixedSequences

    @property
    def batch_size(self) -> int:
        """Rows per step."""
        return self.plan.batch_size

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return self.plan.steps

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of every row, by number: once for each pass."""
        readings = self.steps * self.batch_size
        return np.tile(self.plan.lengths, 1 + -(-readings // len(self.plan.rows)))

    def batches(self) -> Iterator[NDArray[np.int64]]:
        """Yield the numbers of each optimiser step."""
        read_N = np.zeros(len(self.plan.lengths), dtype=np.int64)
        for rows in self.plan.batches():
            numbers = rows.copy()
            for place, row in enumerate(rows):  # a step may have a row twice, at the end of an epoch
                numbers[place] += len(read_N) * read_N[row]
                read_N[row] += 1
            yield numbers

    def micro_batches(self, per_step: int, *, rank: int = 0, ranks: int = 1) -> Iterator[NDArray[np.int64]]:
        """Yield this rank's micro-batches; see `FixedSequences.micro_batches`."""
        return split_batches(self.batches(), self.batch_size, per_step, rank=rank, ranks=ranks)
