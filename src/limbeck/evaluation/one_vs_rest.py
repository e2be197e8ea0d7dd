"""One-vs-rest counts: sensitivity, specificity and F1 of every class against all the others."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["OneVsRest", "class_columns", "count_one_vs_rest", "from_sums", "mean_over_classes"]


class OneVsRest(NamedTuple):
    """Counts of rows for each class, ``[..., C]``, with the figures that follow from them.

    A row without an answer (one that could not be parsed) is wrong: a false negative of its own class, and
    nothing for the other classes.

    Figures of classes are NaN where undefined: sensitivity and F1 of a class without rows, specificity if no
    answered row is of another class.
    """

    true_positives: NDArray[np.float64]
    false_negatives: NDArray[np.float64]
    false_positives: NDArray[np.float64]
    true_negatives: NDArray[np.float64]

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Share of rows that are right, ``[...]``; also equals micro F1 and weighted sensitivity."""
        return _share(self.true_positives.sum(-1), (self.true_positives + self.false_negatives).sum(-1))

    @property
    def sensitivity(self) -> NDArray[np.float64]:
        """TP / (TP + FN) of each class, ``[..., C]``; its macro mean is the balanced accuracy."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def specificity(self) -> NDArray[np.float64]:
        """TN / (TN + FP) of each class, ``[..., C]``.

        If every class occurs, its macro mean is at least (C - 2 + accuracy) / C: an error is a false positive of
        one class only.
        """
        return _share(self.true_negatives, self.true_negatives + self.false_positives)

    @property
    def f1(self) -> NDArray[np.float64]:
        """2 TP / (2 TP + FP + FN) of each class that has rows, ``[..., C]``; 0 if none was found."""
        rows = self.true_positives + self.false_negatives
        f1 = _share(2 * self.true_positives, rows + self.true_positives + self.false_positives)
        return np.where(rows > 0, f1, np.nan)

    @property
    def micro_f1(self) -> NDArray[np.float64]:
        """F1 of the counts of all classes together, ``[...]``; the accuracy, if every row has an answer."""
        hits = 2 * self.true_positives.sum(-1)
        return _share(hits, hits + self.false_positives.sum(-1) + self.false_negatives.sum(-1))

    @property
    def matthews_correlation(self) -> NDArray[np.float64]:
        """Correlation of gold and given classes, ``[...]``: 1 all right, 0 as by chance; 0 if either has one class.

        Reference: Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient", 2004.
        """
        of_class, called = self.true_positives + self.false_negatives, self.true_positives + self.false_positives
        rows = of_class.sum(-1)
        covariance = rows * self.true_positives.sum(-1) - (of_class * called).sum(-1)
        spread = (rows**2 - (of_class**2).sum(-1)) * (rows**2 - (called**2).sum(-1))
        return np.nan_to_num(_share(covariance, np.sqrt(spread)))

    @property
    def weights(self) -> NDArray[np.float64]:
        """Share of the rows in each class, ``[..., C]``, to weight classes by size."""
        rows = self.true_positives + self.false_negatives
        return _share(rows, rows.sum(-1, keepdims=True))


def count_one_vs_rest(gold: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> OneVsRest:
    """Count every class against the others.

    Args:
        gold: label ids ``[..., N]``, all at least 0; leading dimensions are samples of a bootstrap.
        predicted: label ids ``[..., N]``; negative: no answer.
        classes: C.
    """
    answered = predicted >= 0
    called = np.where(answered, predicted, 0)
    rows = _count(gold, classes)
    hits = _count(gold, classes, where=gold == predicted)
    if answered.all():
        answered_rows, called_rows = rows, _count(called, classes)
    else:
        answered_rows, called_rows = _count(gold, classes, where=answered), _count(called, classes, where=answered)
    others = answered_rows.sum(-1, keepdims=True) - answered_rows
    false_positives = called_rows - hits
    return OneVsRest(hits, rows - hits, false_positives, others - false_positives)


def class_columns(gold_N: NDArray[np.int64], predicted_N: NDArray[np.int64], classes: int) -> Any:
    """Return each row's contribution to the counts, ``[N, 3 C]``, sparse: rows, hits and calls of each class.

    Args:
        gold_N: label ids, all at least 0.
        predicted_N: label ids; negative: no answer.
        classes: C.
    """
    from scipy.sparse import csr_array

    rows = np.arange(len(gold_N))
    right, answered = gold_N == predicted_N, predicted_N >= 0
    indices = np.concatenate([gold_N, classes + gold_N[right], 2 * classes + predicted_N[answered]])
    of_rows = np.concatenate([rows, rows[right], rows[answered]])
    return csr_array((np.ones(len(indices)), (of_rows, indices)), shape=(len(gold_N), 3 * classes))


def from_sums(sums: NDArray[np.float64]) -> OneVsRest:
    """Count from sums of `class_columns` over rows, ``[..., 3 C]``, if every row has an answer."""
    rows, hits, called = np.split(sums, 3, axis=-1)
    false_positives = called - hits
    return OneVsRest(hits, rows - hits, false_positives, rows.sum(-1, keepdims=True) - rows - false_positives)


def mean_over_classes(values: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return the mean of figures of classes, ``[..., C] -> [...]``; undefined ones (NaN) are left out.

    Args:
        values: a figure of each class.
        weights: of each class; ``None``: all the same (macro).
    """
    defined = ~np.isnan(values)
    weight = defined if weights is None else defined * weights
    return _share((np.where(defined, values, 0) * weight).sum(-1), weight.sum(-1))


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``part / whole``; NaN if the whole is 0."""
    shares: NDArray[np.float64] = np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
    return shares


def _count(labels: NDArray[np.int64], classes: int, where: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Count each class along the last axis, ``[..., N] -> [..., C]``."""
    samples = labels.reshape(-1, labels.shape[-1])
    cells = samples + classes * np.arange(len(samples))[:, None]
    weights = None if where is None else where.ravel()
    counts = np.bincount(cells.ravel(), weights=weights, minlength=classes * len(samples))
    return counts.reshape(*labels.shape[:-1], classes).astype(np.float64)
