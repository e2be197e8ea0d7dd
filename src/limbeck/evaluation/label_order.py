"""The order of a teacher's outputs, if it does not name its labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LabelOrder", "best_order"]

_ERROR = 0.01
"""How often a right order may be called wrong."""


@dataclass(frozen=True)
class LabelOrder:
    """What labelled rows tell about the assumed order."""

    order: list[str]
    """The label of each output that fits the rows best."""
    right: int
    """Rows on which the teacher is right in the assumed order."""
    right_in_best: int
    rows: int
    is_wrong: bool
    """Whether `order` fits the rows significantly better."""
    unseen: list[str]
    """Labels whose position is unknown: the teacher gives them rightly on no row."""


def best_order(given_N: NDArray[np.int64], gold_N: NDArray[np.int64], labels: Sequence[str]) -> LabelOrder:
    """Return the assignment of labels to outputs under which most rows are right.

    The given order is wrong if a sign test on the rows that only one of the two gets right says so, at 1 %. The best
    order was chosen among all that move as many labels, so the p-value is multiplied by their number (at most
    ``C! / (C - m)!`` for m moved labels).

    Reference: Kuhn 1955, "The Hungarian Method for the Assignment Problem".

    Args:
        given_N: the most likely output of the teacher.
        gold_N: the index of the gold label in `labels`.
        labels: in the assumed order.

    Example:
        >>> best_order(np.array([1] * 20 + [0] * 20), np.array([0] * 20 + [1] * 20), ["bad", "good"]).order
        ['good', 'bad']
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.stats import binom

    classes = len(labels)
    hits_CC = np.zeros((classes, classes))
    np.add.at(hits_CC, (given_N, gold_N), 1)
    # Labels without rows fit everywhere and keep their position.
    _, place_C = linear_sum_assignment(hits_CC + np.eye(classes) / (classes + 1), maximize=True)
    right_N, best_N = given_N == gold_N, place_C[given_N] == gold_N
    gained, lost = int((best_N & ~right_N).sum()), int((right_N & ~best_N).sum())
    moved = int((place_C != np.arange(classes)).sum())
    chosen_from = math.lgamma(classes + 1) - math.lgamma(classes - moved + 1)
    log_p = float(binom.logsf(gained - 1, gained + lost, 0.5)) + chosen_from if moved else 0.0
    return LabelOrder(
        order=[labels[c] for c in place_C],
        right=int(right_N.sum()),
        right_in_best=int(best_N.sum()),
        rows=len(gold_N),
        is_wrong=log_p < math.log(_ERROR),
        unseen=[label for c, label in enumerate(labels) if hits_CC[c, c] == 0],
    )
