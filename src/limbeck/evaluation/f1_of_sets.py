"""F1 of sets: the entities found in a text, the labels given to a row.

A row has a set of gold answers and a set of given ones. All figures come from three counts per row and label (right,
given, gold), which add up over rows, so the bootstrap only re-adds counts and does not repeat the evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.tagging.scheme import Span
from limbeck.evaluation.metrics.statistic import Statistic

__all__ = ["entity_counts", "f1", "label_counts", "macro_f1", "micro_f1", "of_counts", "precision", "recall"]

Counts = NDArray[np.floating[Any]] | NDArray[np.integer[Any]]
"""``[..., C, 3]``: the right, given and gold answers of each label."""


def entity_counts(
    gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]], labels: Sequence[str]
) -> NDArray[np.int64]:
    """Return the counts of each row, ``[N, C, 3]``. An entity is right if start, end and label are.

    Args:
        gold: entities of each row, in characters.
        predicted: those of a system.
        labels: all C labels; an entity with another label is a bug.

    Example:
        >>> entity_counts([[Span(0, 4, "PER")]], [[Span(0, 4, "PER"), Span(5, 9, "LOC")]], ["LOC", "PER"]).tolist()
        [[[0, 1, 0], [1, 1, 1]]]
    """
    index = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(gold), len(labels), 3), dtype=np.int64)
    for row, (right, given) in enumerate(zip(gold, predicted, strict=True)):
        for column, spans in enumerate((set(right) & set(given), given, right)):
            for span in spans:
                counts[row, index[span.label], column] += 1
    return counts


def label_counts(gold_NC: NDArray[np.bool_], predicted_NC: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the counts of each row, ``[N, C, 3]``, of multi-label rows."""
    return np.stack([gold_NC & predicted_NC, predicted_NC, gold_NC], axis=-1).astype(np.int64)


def of_counts(counts_NC3: NDArray[np.int64], figure: Callable[[Any], NDArray[np.float64]]) -> Statistic | None:
    """Return a figure of the counts of all labels, summed over rows; ``None`` without rows."""
    if not len(counts_NC3):
        return None
    columns = counts_NC3.reshape(len(counts_NC3), -1).astype(np.float64)
    return Statistic(len(columns), lambda sums: figure(sums.reshape(len(sums), -1, 3)), columns)


def precision(counts: Counts) -> NDArray[np.float64]:
    """Return right / given, ``[..., 3] -> [...]``; 0 if nothing was given."""
    return _share(counts[..., 0], counts[..., 1])


def recall(counts: Counts) -> NDArray[np.float64]:
    """Return right / gold, ``[..., 3] -> [...]``; 0 if nothing is gold."""
    return _share(counts[..., 0], counts[..., 2])


def f1(counts: Counts) -> NDArray[np.float64]:
    """Return 2 right / (given + gold), ``[..., 3] -> [...]``; 0 if nothing is gold or given."""
    return _share(2 * counts[..., 0], counts[..., 1] + counts[..., 2])


def micro_f1(counts: Counts) -> NDArray[np.float64]:
    """Return the F1 of all labels counted together, ``[..., C, 3] -> [...]``, from sums over rows (or their means)."""
    return f1(counts.sum(axis=-2))


def macro_f1(counts: Counts) -> NDArray[np.float64]:
    """Return the mean F1 of the labels that occur in gold, ``[..., C, 3] -> [...]``; 0 if none does."""
    there = counts[..., 2] > 0
    return _share((f1(counts) * there).sum(axis=-1), there.sum(axis=-1))


def _share(part: Any, whole: Any) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0)
    return shares
