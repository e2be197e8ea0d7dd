"""TF-IDF and logistic regression: a classifier of texts that knows no model, and learns in seconds."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.numerics.cross_fitting import learned_rows, stratified_folds

__all__ = ["INVERSE_STRENGTHS", "BagOfWords", "fit_bag_of_words"]

INVERSE_STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
"""Values of C that cross-validation chooses from; scikit-learn's default of 1 gives far too even probabilities."""
_FOLDS = 3
_LARGEST_FOR_CHOICE = 1_000
"""Rows that C is chosen on; more hardly change the choice."""
_LEAST_SHARE = 0.01
"""Labels with a smaller probability are left out of a row's targets."""
_LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True)
class BagOfWords:
    """A fitted classifier of texts or pairs of texts."""

    inverse_strength: float
    """The C of its regression."""
    _vectorisers: tuple[Any, ...]
    """One for each text of a row."""
    _regression: Any
    """``None``: the rows that it learned have one label."""
    _labels: NDArray[np.int64]
    """The classes that it knows."""
    _classes: int

    @property
    def parameters(self) -> int:
        """The number of fitted weights, biases included."""
        return 0 if self._regression is None else self._regression.coef_.size + self._regression.intercept_.size

    @property
    def size_bytes(self) -> int:
        """Bytes of weights and vocabulary, as Python saves them."""
        return len(pickle.dumps(self))

    def probs(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> NDArray[np.float64]:
        """Return probabilities ``[N, C]``; 0 for classes that no row it learned has."""
        probs_NC = np.zeros((len(texts), self._classes))
        if not len(texts):
            return probs_NC
        if self._regression is None:
            probs_NC[:, self._labels] = 1.0
        else:
            probs_NC[:, self._labels] = self._regression.predict_proba(_features(self._vectorisers, texts, pairs))
        return probs_NC


def fit_bag_of_words(
    texts: Sequence[str], pairs: Sequence[str] | None, probs_NC: NDArray[Any], weights_N: NDArray[Any] | None = None
) -> BagOfWords:
    """Return multinomial logistic regression on the TF-IDF of words and parts of words.

    Parts are two to four characters long, so that it also reads inflected words, misspelt ones and scripts without
    spaces. Counts are logarithmic. The two texts of a pair have features of their own. C is the one of
    `INVERSE_STRENGTHS` with the smallest cross-entropy in three-fold cross-validation, in which copies of a text are
    in one fold. The same input gives the same classifier.

    Args:
        texts: of the rows to learn.
        pairs: their second texts, if any.
        probs_NC: what each row should get: a distribution over classes, all of it on a gold label.
        weights_N: of the rows; default: 1.
    """
    vectorisers = tuple(_vectoriser(part) for part in (texts, pairs) if part is not None)
    features = _features(vectorisers, texts, pairs)
    weights_N = np.ones(len(texts)) if weights_N is None else np.asarray(weights_N, dtype=np.float64)
    targets_NC = np.where(probs_NC >= _LEAST_SHARE, probs_NC, 0.0)
    inverse_strength = _chosen(features, targets_NC, weights_N, list(zip(texts, pairs or texts, strict=True)))
    regression, labels = _fitted(features, targets_NC, weights_N, inverse_strength)
    return BagOfWords(inverse_strength, vectorisers, regression, labels, probs_NC.shape[1])


def _vectoriser(texts: Sequence[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion

    words = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]")
    parts = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    return FeatureUnion([("words", words), ("parts", parts)]).fit(texts)


def _features(vectorisers: Sequence[Any], texts: Sequence[str], pairs: Sequence[str] | None) -> Any:
    from scipy.sparse import csr_matrix, hstack

    parts = [part for part in (texts, pairs) if part is not None]
    found = [vectoriser.transform(part) for vectoriser, part in zip(vectorisers, parts, strict=True)]
    return csr_matrix(hstack(found))


def _chosen(
    features: Any, targets_NC: NDArray[Any], weights_N: NDArray[Any], keys: Sequence[tuple[str, str]]
) -> float:
    """Return the C with the smallest cross-entropy over rows that a fit has not seen; of equal ones the smallest."""
    picked = np.arange(len(keys))
    if len(keys) > _LARGEST_FOR_CHOICE:
        picked = np.sort(np.random.default_rng(0).permutation(len(keys))[:_LARGEST_FOR_CHOICE])
    class_N = targets_NC[picked].argmax(axis=1)
    fold_N = stratified_folds(class_N, [keys[row] for row in picked.tolist()], _FOLDS)
    if len(np.unique(fold_N)) < _FOLDS:
        return INVERSE_STRENGTHS[1]
    losses = np.zeros(len(INVERSE_STRENGTHS))
    for fold in range(_FOLDS):
        seen, unseen = picked[learned_rows(class_N, fold_N, fold)], picked[fold_N == fold]
        for place, strength in enumerate(INVERSE_STRENGTHS):
            regression, labels = _fitted(features[seen], targets_NC[seen], weights_N[seen], strength)
            probs_NC = np.zeros((len(unseen), targets_NC.shape[1]))
            probs_NC[:, labels] = 1.0 if regression is None else regression.predict_proba(features[unseen])
            logs_NC = np.log(np.maximum(probs_NC, _LEAST_PROBABILITY))
            losses[place] -= float((weights_N[unseen, None] * targets_NC[unseen] * logs_NC).sum())
    return INVERSE_STRENGTHS[int(losses.argmin())]


def _fitted(
    features: Any, targets_NC: NDArray[Any], weights_N: NDArray[Any], inverse_strength: float
) -> tuple[Any, NDArray[np.int64]]:
    """Return the regression, ``None`` for a single label, and the classes of its answers."""
    from sklearn.linear_model import LogisticRegression

    # A row with several possible labels is as many examples, weighted by their probabilities.
    rows, labels = np.nonzero(targets_NC)
    found = np.unique(labels)
    if len(found) < 2:
        return None, found
    regression = LogisticRegression(C=inverse_strength, max_iter=10_000)
    regression.fit(features[rows], labels, sample_weight=weights_N[rows] * targets_NC[rows, labels])
    return regression, found
