"""Cross-fitting: several models for the same rows, so that no row is answered by a model that learned it.

Each row that is learned belongs to a fold. The model of a fold learns all other folds and answers its own; rows that
no model learns are answered by all of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NO_FOLD",
    "answered_rows",
    "cross_fitted",
    "learned_rows",
    "smallest_class",
    "stratified_folds",
    "taking_part",
]

NO_FOLD = -1
"""The fold of a row that no model learns."""


def stratified_folds(
    class_N: NDArray[np.int64], key_N: Sequence[Hashable], folds: int, *, seed: int = 0
) -> NDArray[np.int64]:
    """Return the fold of each row, -1 for rows that no model learns and that are not the copy of one.

    Rows with the same key are in one fold, learned or not: the copy of a learned row would otherwise be answered by a
    model that learned it. The keys of each class are dealt out in random order, the classes after each other, so both
    the sizes of the folds and the rows of a class in them differ by at most one key.

    Args:
        class_N: the class of each row that is learned; below 0: it is not.
        key_N: identity of each row's input.
        folds: how many.
        seed: of the order. The same input gives the same folds.

    >>> stratified_folds(np.array([0, 0, 1, 1, -1, -1]), ["a", "b", "c", "d", "e", "a"], 2).tolist()
    [0, 1, 0, 1, -1, 0]
    """
    class_of: dict[Hashable, int] = {}
    for key, label in zip(key_N, class_N.tolist(), strict=True):
        if label >= 0:
            class_of.setdefault(key, label)
    keys = list(class_of)
    shuffled = np.random.default_rng(seed).permutation(len(keys))
    classes = np.array(list(class_of.values()), dtype=np.int64)
    dealt = shuffled[np.argsort(classes[shuffled], kind="stable")]
    fold_of = {keys[place]: number % folds for number, place in enumerate(dealt.tolist())}
    return np.array([fold_of.get(key, NO_FOLD) for key in key_N], dtype=np.int64)


def smallest_class(class_N: NDArray[np.int64], key_N: Sequence[Hashable]) -> tuple[int, int]:
    """Return the class with the fewest different inputs among the classes that are learned, and their number."""
    found = {(label, key) for key, label in zip(key_N, class_N.tolist(), strict=True) if label >= 0}
    labels, counts = np.unique([label for label, _ in found], return_counts=True)
    place = int(counts.argmin())
    return int(labels[place]), int(counts[place])


def learned_rows(class_N: NDArray[np.int64], fold_N: NDArray[np.int64], fold: int) -> NDArray[np.int64]:
    """Return the rows that the model of a fold learns: those with a class, in other folds."""
    return np.flatnonzero((class_N >= 0) & (fold_N != fold))


def taking_part(
    rows: NDArray[np.int64], agreement_N: NDArray[np.float64], *, seed: int | Sequence[int]
) -> NDArray[np.int64]:
    """Return those of `rows` that take part in a training, each with a probability of its agreement.

    So a row weighs as much as it is agreed on, whatever is trained on it. All take part if none would.

    Args:
        rows: row numbers.
        agreement_N: of every row, from 0 to 1, indexed by row number.
        seed: of the draws.
    """
    drawn = rows[np.random.default_rng(seed).random(len(rows)) < agreement_N[rows]]
    return drawn if len(drawn) else rows


def answered_rows(fold_N: NDArray[np.int64], fold: int) -> NDArray[np.int64]:
    """Return the rows that the model of a fold answers: its own, and those in no fold."""
    return np.flatnonzero((fold_N == fold) | (fold_N == NO_FOLD))


def cross_fitted(answers: Sequence[NDArray[np.float32]], fold_N: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the cross-fitted answer to each row, ``[N, C]``: of its fold's model, or the mean over all models.

    Args:
        answers: for each fold, the answers of its model to its `answered_rows`, in their order.
        fold_N: the fold of each row.
    """
    given_NC = np.zeros((len(fold_N), answers[0].shape[1]))
    for fold, part in enumerate(answers):
        rows = answered_rows(fold_N, fold)
        share_N = np.where(fold_N[rows] == NO_FOLD, 1 / len(answers), 1.0)
        given_NC[rows] += share_N[:, None] * part
    return given_NC
