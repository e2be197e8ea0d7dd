"""How often is the student right, class by class?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limbeck.results import ClassFigures, ConfusionMatrix

__all__ = ["confusion_of_worst_classes", "macro_f1", "per_class_figures"]

_WORST_CLASSES = 10


def macro_f1(gold: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Return the mean F1 over the classes that occur in `gold`, ``[..., N] -> [...]``; one never predicted has F1 0.

    F1 = 2 TP / (rows of the class + rows predicted as the class). Many samples at once, since the
    bootstrap asks for thousands; equal to scikit-learn's (tests).
    """
    gold_rows = _count(gold, classes)
    f1 = 2 * _count(gold, classes, where=gold == predicted) / np.maximum(gold_rows + _count(predicted, classes), 1)
    present = gold_rows > 0
    means: NDArray[np.float64] = (f1 * present).sum(axis=-1) / present.sum(axis=-1)
    return means


def _count(labels: NDArray[np.int64], classes: int, where: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Count each class along the last axis, ``[..., N] -> [..., C]``."""
    samples = labels.reshape(-1, labels.shape[-1])
    cells = samples + classes * np.arange(len(samples))[:, None]
    weights = None if where is None else where.ravel()
    counts = np.bincount(cells.ravel(), weights=weights, minlength=classes * len(samples))
    return counts.reshape(*labels.shape[:-1], classes).astype(np.float64)


def per_class_figures(gold: NDArray[np.int64], predicted: NDArray[np.int64], labels: list[str]) -> list[ClassFigures]:
    """Return precision, recall and F1 of every class; 0 where undefined."""
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, f1, rows = precision_recall_fscore_support(
        gold, predicted, labels=range(len(labels)), zero_division=0
    )
    return [
        ClassFigures(label=label, precision=precision[i], recall=recall[i], f1=f1[i], rows=int(rows[i]))
        for i, label in enumerate(labels)
    ]


def confusion_of_worst_classes(
    gold: NDArray[np.int64], predicted: NDArray[np.int64], labels: list[str]
) -> ConfusionMatrix:
    """Return the confusion matrix of the classes with most errors, the others put together."""
    from sklearn.metrics import confusion_matrix

    full = confusion_matrix(gold, predicted, labels=range(len(labels)))
    errors = full.sum(axis=0) + full.sum(axis=1) - 2 * full.diagonal()
    worst = sorted(np.argsort(-errors, kind="stable")[:_WORST_CLASSES].tolist())
    others = [i for i in range(len(labels)) if i not in set(worst)]
    groups = [[i] for i in worst] + ([others] if others else [])
    rows = [[int(full[np.ix_(g, h)].sum()) for h in groups] for g in groups]
    return ConfusionMatrix(labels=[labels[i] for i in worst] + (["(other)"] if others else []), rows=rows)
