"""Logistic regression against scikit-learn's, and what folding its scale in must not change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from limbeck.numerics.cross_fitting import stratified_folds
from limbeck.numerics.logistic_regression import (
    INVERSE_STRENGTHS,
    LinearHead,
    fit_logistic_regression,
    one_hot,
)

Array = NDArray[np.float64]
CLASSES = 3


def rows(count: int = 60, width: int = 5, noise: float = 1.0, seed: int = 0) -> tuple[Array, NDArray[np.int64]]:
    """Rows of three classes around three points, with features of a mean and a size of their own."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLASSES, width))
    labels_N = np.arange(count) % CLASSES
    return 7.0 + 3.0 * (centres[labels_N] + noise * rng.normal(size=(count, width))), labels_N


def scaled(features_ND: Array) -> Array:
    """What a fit reads: one standard deviation for all features, and a feature that is always 1."""
    centred = features_ND - features_ND.mean(axis=0)
    return np.concatenate([centred / np.sqrt((centred**2).mean()), np.ones((len(centred), 1))], axis=1)


def logits(head: LinearHead, features_ND: Array) -> Array:
    return features_ND @ head.weight_CD.T + head.bias_C


def by_scikit_learn(inputs_NE: Array, labels_N: Any, strength: float, weights_N: Any = None) -> Array:
    fitted = LogisticRegression(C=strength, fit_intercept=False, tol=1e-10, max_iter=10_000)
    return np.asarray(fitted.fit(inputs_NE, labels_N, weights_N).decision_function(inputs_NE))


@pytest.mark.parametrize("strength", [0.01, 1.0, 100.0])
def test_it_is_that_of_scikit_learn(strength: float) -> None:
    features_ND, labels_N = rows()
    found = fit_logistic_regression(features_ND, one_hot(labels_N, CLASSES), strength)
    expected = by_scikit_learn(scaled(features_ND), labels_N, strength)
    np.testing.assert_allclose(logits(found, features_ND), expected, atol=2e-3 * max(1.0, strength))


def test_a_distribution_is_as_good_as_rows_weighted_by_it() -> None:
    features_ND, _ = rows()
    probs_NC = np.random.default_rng(1).dirichlet(np.ones(CLASSES), size=len(features_ND))
    found = fit_logistic_regression(features_ND, probs_NC, 1.0)
    inputs_NE = np.repeat(scaled(features_ND), CLASSES, axis=0)
    expected = by_scikit_learn(inputs_NE, np.tile(np.arange(CLASSES), len(features_ND)), 1.0, probs_NC.ravel())
    np.testing.assert_allclose(logits(found, features_ND), expected[::CLASSES], atol=1e-3)


def test_a_head_without_a_bias() -> None:
    features_ND, labels_N = rows()
    found = fit_logistic_regression(features_ND, one_hot(labels_N, CLASSES), 1.0, bias=False)
    assert not found.bias_C.any()
    expected = by_scikit_learn(features_ND / np.sqrt((features_ND**2).mean()), labels_N, 1.0)
    np.testing.assert_allclose(logits(found, features_ND), expected, atol=1e-3)


def test_size_and_origin_of_the_features_change_nothing() -> None:
    features_ND, labels_N = rows()
    probs_NC = one_hot(labels_N, CLASSES)
    plain, moved = features_ND, 1e-3 * features_ND - 4.0
    first, second = (fit_logistic_regression(x, probs_NC) for x in (plain, moved))
    assert first.inverse_strength == second.inverse_strength
    np.testing.assert_allclose(logits(first, plain), logits(second, moved), atol=1e-3)


def test_the_same_rows_give_the_same_head_to_the_last_bit() -> None:
    features_ND, labels_N = rows()
    one, two = (fit_logistic_regression(features_ND, one_hot(labels_N, CLASSES)) for _ in range(2))
    assert one.weight_CD.tobytes() == two.weight_CD.tobytes()
    assert one.bias_C.tobytes() == two.bias_C.tobytes()


def test_the_strength_is_the_best_on_rows_that_were_not_fitted() -> None:
    """By the same folds, scikit-learn finds the same C; noise wants a smaller one than classes far apart."""
    chosen = []
    for noise in (3.0, 0.3):
        features_ND, labels_N = rows(noise=noise)
        fold_N, inputs_NE = stratified_folds(labels_N, range(len(labels_N)), 5), scaled(features_ND)
        losses = []
        for strength in INVERSE_STRENGTHS:
            total = 0.0
            for fold in range(5):
                fitted = LogisticRegression(C=strength, fit_intercept=False, tol=1e-8, max_iter=10_000)
                fitted.fit(inputs_NE[fold_N != fold], labels_N[fold_N != fold])
                log_probs = fitted.predict_log_proba(inputs_NE[fold_N == fold])
                total -= log_probs[np.arange(len(log_probs)), labels_N[fold_N == fold]].sum()
            losses.append(total)
        found = fit_logistic_regression(features_ND, one_hot(labels_N, CLASSES)).inverse_strength
        assert found == INVERSE_STRENGTHS[int(np.argmin(losses))]
        chosen.append(found)
    assert chosen[0] < chosen[1]


def test_few_rows_and_a_class_without_any() -> None:
    features_ND, labels_N = rows(count=6)
    found = fit_logistic_regression(features_ND, one_hot(labels_N % 2, CLASSES))
    assert found.inverse_strength == 1.0
    assert np.isfinite(found.bias_C).all()
    assert (logits(found, features_ND).argmax(axis=-1) == labels_N % 2).mean() > 0.8


def test_equal_features_have_no_scale() -> None:
    found = fit_logistic_regression(np.full((6, 2), 3.0), one_hot(np.array([0, 0, 0, 0, 1, 1]), 2))
    assert np.isfinite(found.weight_CD).all()
    assert found.bias_C[0] > found.bias_C[1]
