"""Accuracy of a classifier, overall and class by class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.one_vs_rest import count_one_vs_rest, mean_over_classes
from limbeck.results.sections import ConfusionMatrix

__all__ = [
    "class_figures",
    "confusion_of_worst_classes",
    "macro_f1",
]

_WORST_CLASSES = 10


def macro_f1(gold: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Return the mean F1 over the classes that occur in `gold`, ``[..., N] -> [...]``; 0 for one never predicted.

    Vectorised over samples, as the bootstrap needs thousands; equal to scikit-learn's (tests).
    """
    return mean_over_classes(count_one_vs_rest(gold, predicted, classes).f1)


def class_figures(
    gold: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> dict[str, NDArray[np.float64]]:
    """Return precision, sensitivity (recall), specificity and F1 of each class, ``[C]``; 0 where undefined.

    The specificity of a class is NaN where no row is of another class.
    """
    counts = count_one_vs_rest(gold, predicted, classes)
    called = counts.true_positives + counts.false_positives
    return {
        "precision": counts.true_positives / np.where(called > 0, called, 1),
        "sensitivity": np.nan_to_num(counts.sensitivity),
        "specificity": counts.specificity,
        "f1": np.nan_to_num(counts.f1),
    }


def confusion_of_worst_classes(
    gold: NDArray[np.int64], predicted: NDArray[np.int64], labels: list[str]
) -> ConfusionMatrix:
    """Return the confusion matrix of the classes with most errors, the others merged into one."""
    from sklearn.metrics import confusion_matrix

    full = confusion_matrix(gold, predicted, labels=range(len(labels)))
    errors = full.sum(axis=0) + full.sum(axis=1) - 2 * full.diagonal()
    worst = sorted(np.argsort(-errors, kind="stable")[:_WORST_CLASSES].tolist())
    others = [i for i in range(len(labels)) if i not in set(worst)]
    groups = [[i] for i in worst] + ([others] if others else [])
    rows = [[int(full[np.ix_(g, h)].sum()) for h in groups] for g in groups]
    return ConfusionMatrix(labels=[labels[i] for i in worst] + (["(other)"] if others else []), rows=rows)
