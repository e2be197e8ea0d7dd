"""Whether two sets of texts are of one collection, or a simple classifier tells them apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from limbeck.results.figures import Interval

__all__ = ["told_apart"]

_LEAST, _MOST = 20, 1000
"""Rows of each set: with fewer nothing can be said, and more are not needed."""
_FOLDS = 5
_CHARACTERS = 500
"""The beginning of a text that is looked at."""


def told_apart(first: Sequence[str], second: Sequence[str]) -> Interval | None:
    """Return how well a classifier tells two sets of texts apart: the area under its ROC curve, with a 95 % interval.

    0.5 is chance: the sets are alike. The classifier is a logistic regression on TF-IDF weights of one to three
    characters, and answers texts that it was not trained on (five folds). The interval is that of Hanley and McNeil,
    "The Meaning and Use of the Area under a ROC Curve", 1982.

    Reference: Lopez-Paz and Oquab 2017, "Revisiting Classifier Two-Sample Tests", arXiv:1610.06545.

    Args:
        first: texts; at most 1,000, drawn with a fixed seed, are used.
        second: others.

    Returns:
        ``None`` with fewer than 20 texts in either set.
    """
    if min(len(first), len(second)) < _LEAST:
        return None
    rng = np.random.default_rng(0)
    drawn = [[texts[i][:_CHARACTERS] for i in rng.permutation(len(texts))[:_MOST]] for texts in (first, second)]
    of_second_N = np.repeat([0, 1], [len(part) for part in drawn])
    return _area(_answers([*drawn[0], *drawn[1]], of_second_N), of_second_N)


def _answers(texts: list[str], of_second_N: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probability that each text is of the second set, by a classifier that was not trained on it."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    classifier = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), sublinear_tf=True),
        LogisticRegression(class_weight="balanced", max_iter=200),
    )
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    probs: NDArray[np.float64] = cross_val_predict(classifier, texts, of_second_N, cv=folds, method="predict_proba")
    return probs[:, 1]


def _area(answer_N: NDArray[np.float64], positive_N: NDArray[np.int64]) -> Interval:
    from sklearn.metrics import roc_auc_score

    area = float(roc_auc_score(positive_N, answer_N))
    positive, negative = int(positive_N.sum()), int((1 - positive_N).sum())
    of_positives, of_negatives = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (
        area * (1 - area) + (positive - 1) * (of_positives - area**2) + (negative - 1) * (of_negatives - area**2)
    ) / (positive * negative)
    half = 1.96 * float(np.sqrt(max(variance, 0.0)))
    return Interval(value=area, low=max(0.0, area - half), high=min(1.0, area + half))
