"""How often is the student right, class by class?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limbeck.results import ClassFigures, ConfusionMatrix

__all__ = ["confusion_of_worst_classes", "macro_f1", "per_class_figures"]

_WORST_CLASSES = 10


def macro_f1(gold: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> float:
    """Return the mean F1 over the classes that occur in `gold`; a class never predicted has F1 0.

    F1 = 2 TP / (rows of the class + rows predicted as the class). Counted with `bincount`, since the
    bootstrap calls this thousands of times; equal to scikit-learn's (tests).
    """
    gold_rows = np.bincount(gold, minlength=classes)
    predicted_rows = np.bincount(predicted, minlength=classes)
    right_rows = np.bincount(gold[gold == predicted], minlength=classes)
    present = gold_rows > 0
    return float(np.mean(2 * right_rows[present] / (gold_rows + predicted_rows)[present]))


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
