"""Pairs of labelled rows, every class as often as every other: what contrastive fine-tuning reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.sequences.fixed import split_batches

__all__ = ["ClassPairSequences", "ClassPairs"]


@dataclass(frozen=True)
class ClassPairs:
    """Labelled rows in pairs, for terms that compare rows with each other."""

    negatives: bool = True
    """Every second pair has rows of two classes. Without them all pairs are of one class: for a term that compares all
    rows of a step."""


@dataclass(frozen=True)
class ClassPairSequences:
    """Batches of ``batch_size / 2`` pairs: rows 1 and 2 of a batch are a pair, rows 3 and 4 the next one, and so on.

    Classes take turns, in a new random order each time; so do the rows of a class. A pair of one class with a single
    row is that row twice. The plan depends on rows, labels, sizes and the seed only; a resumed run skips steps of it.
    """

    rows: NDArray[np.int64]
    """Row numbers to draw from."""
    labels: NDArray[np.int64]
    """Class of every row, indexed by row number."""
    lengths: NDArray[np.int64]
    """Tokens of every row, indexed by row number."""
    batch_size: int
    steps: int
    seed: int
    negatives: bool = True
    """As in `ClassPairs`."""

    def batches(self) -> Iterator[NDArray[np.int64]]:
        """Yield the rows of each optimiser step."""
        rng = np.random.default_rng(self.seed)
        of_class = {int(c): _Shuffled(self.rows[self.labels[self.rows] == c], rng) for c in self._classes}
        turns, others = _Shuffled(self._classes, rng), _Shuffled(self._classes, rng)
        pairs = 0
        for _ in range(self.steps):
            batch: list[int] = []
            while len(batch) < self.batch_size:
                first = turns.next()
                positive = not self.negatives or len(of_class) == 1 or pairs % 2 == 0
                second = first if positive else others.next_but(first)
                batch += [of_class[first].next(), of_class[second].next()]
                pairs += 1
            yield np.asarray(batch[: self.batch_size], dtype=np.int64)

    @property
    def _classes(self) -> NDArray[np.int64]:
        return np.unique(self.labels[self.rows])

    def micro_batches(self, per_step: int, *, rank: int = 0, ranks: int = 1) -> Iterator[NDArray[np.int64]]:
        """Yield this rank's micro-batches, ``per_step / ranks`` for each optimiser step; no pair is split."""
        return split_batches(self.batches(), self.batch_size, per_step, rank=rank, ranks=ranks)


class _Shuffled:
    """Gives items over and over, all of them before any comes again."""

    def __init__(self, items: NDArray[np.int64], rng: np.random.Generator) -> None:
        self._items, self._rng = items, rng
        self._waiting: list[int] = []

    def next(self) -> int:
        if not self._waiting:
            self._waiting = self._rng.permutation(self._items).tolist()
        return self._waiting.pop()

    def next_but(self, item: int) -> int:
        """Return the next one that is not `item`, which keeps its place."""
        passed = []
        while (found := self.next()) == item:
            passed.append(found)
        self._waiting += passed
        return found
