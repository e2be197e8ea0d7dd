"""Quiz rows: labelled rows that a student never learns, on which its teacher sees how well it taught."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import DataError
from limbeck.numerics.cross_fitting import stratified_folds
from limbeck.sequences.fixed import FixedSequences

__all__ = ["Quiz", "set_aside"]


def set_aside(
    label_N: NDArray[np.int64], key_N: Sequence[Hashable], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the quiz rows and the rows that may be learned, both ascending.

    The quiz has one in ``round(1 / fraction)`` labelled texts of each class. Rows with a text of the quiz are in
    neither: a student that learned such a row would know the answer.

    Args:
        label_N: class of each training row; below 0: none.
        key_N: identity of each row's text.
        fraction: of the labelled rows.
        seed: of the draw.

    Raises:
        DataError: there are too few labelled texts.

    >>> quiz, learned = set_aside(np.array([0, 0, 1, 1, -1, -1]), ["a", "b", "c", "d", "b", "e"], 0.5, seed=0)
    >>> quiz.tolist(), learned.tolist()
    ([0, 2], [1, 3, 4, 5])
    """
    parts = round(1 / fraction)
    texts = len({key for key, label in zip(key_N, label_N.tolist(), strict=True) if label >= 0})
    if texts < parts:
        raise DataError(
            f"one in {parts} labelled training texts is set aside as a quiz, and there are {texts}: label more rows, "
            "or give a larger quiz_fraction"
        )
    part_N = stratified_folds(label_N, key_N, parts, seed=seed)
    quiz, learned = np.flatnonzero((part_N == 0) & (label_N >= 0)), np.flatnonzero(part_N != 0)
    shared = {key_N[row] for row in quiz.tolist()} & {key_N[row] for row in learned.tolist()}
    assert not shared, "a quiz text is learned"
    return quiz, learned


@dataclass(frozen=True)
class Quiz:
    """The quiz rows of each optimiser step."""

    rows: NDArray[np.int64]
    lengths: NDArray[np.int64]
    """Tokens of every row, indexed by row number."""
    batch_size: int
    batches: int
    """Batches of a step, drawn in random order, all rows in turn; 0: all rows at each step."""
    steps: int
    seed: int

    def drawn(self, first: int = 0) -> Iterator[list[NDArray[np.int64]]]:
        """Yield the batches of each step, from step `first` on."""
        size = min(self.batch_size, len(self.rows))
        if not self.batches:
            ordered = self.rows[np.argsort(self.lengths[self.rows], kind="stable")]
            whole = [ordered[start : start + size] for start in range(0, len(ordered), size)]
            for _ in range(first, self.steps):
                yield whole
            return
        plan = FixedSequences(self.rows, self.lengths, size, self.steps * self.batches, self.seed).batches()
        for _ in islice(plan, first * self.batches):
            pass
        for _ in range(first, self.steps):
            yield list(islice(plan, self.batches))
