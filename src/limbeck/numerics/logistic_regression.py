"""Multinomial logistic regression on features, for gold labels and for a teacher's probabilities alike."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.numerics.cross_fitting import stratified_folds

__all__ = ["INVERSE_STRENGTHS", "LinearHead", "fit_logistic_regression", "one_hot"]

Array = NDArray[np.float64]

INVERSE_STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
"""Values of C that cross-validation chooses from."""
_FOLDS = 5
_LARGEST_FOR_CHOICE = 2_000
"""Rows that C is chosen on; more do not change the choice, and each row is fitted 24 times."""
_TOLERANCE = 1e-5
"""Largest component of the gradient of the mean loss at which a fit ends."""


class LinearHead(NamedTuple):
    """Logits are ``features @ weight_CD.T + bias_C``."""

    weight_CD: Array
    bias_C: Array
    inverse_strength: float
    """The C that it was fitted with."""


def one_hot(labels_N: NDArray[np.int64], classes: int) -> Array:
    """Return each row's distribution over `classes`, all of it on its label."""
    found: Array = np.eye(classes)[labels_N]
    return found


def fit_logistic_regression(
    features_ND: NDArray[Any], probs_NC: NDArray[Any], inverse_strength: float | None = None, *, bias: bool = True
) -> LinearHead:
    """Return the linear head of smallest ``C sum_n CE(p_n, softmax(W x_n + b)) + (|W|^2 + |b|^2) / 2``.

    x are the features minus their mean, divided by one number: the root of their mean square. So C means the
    same for every model, and directions keep their relative size; the returned head includes both and reads features
    as they are. The bias is penalised like a weight of a feature that is always 1: a class that no row has gets a
    finite one. Without `inverse_strength`, C is the one of `INVERSE_STRENGTHS` with the smallest cross-entropy in
    five-fold cross-validation, each class spread over all folds; with fewer than ten rows it is 1. The same input
    gives the same head.

    Args:
        features_ND: features of each row.
        probs_NC: what each row should get: a distribution over classes, one-hot for a gold label (`one_hot`).
        inverse_strength: C.
        bias: whether the head has one; without, the mean is not subtracted, and b is 0.
    """
    features_ND, probs_NC = features_ND.astype(np.float64), probs_NC.astype(np.float64)
    mean_D = features_ND.mean(axis=0) if bias else np.zeros(features_ND.shape[1])
    scale = float(np.sqrt(((features_ND - mean_D) ** 2).mean())) or 1.0
    constant_N1 = np.full((len(features_ND), 1), float(bias))
    inputs_NE = np.concatenate([(features_ND - mean_D) / scale, constant_N1], axis=1)
    if inverse_strength is None:
        inverse_strength = _chosen(inputs_NE, probs_NC)
    weights_CE = _fitted(inputs_NE, probs_NC, inverse_strength)
    weight_CD = weights_CE[:, :-1] / scale
    return LinearHead(weight_CD, weights_CE[:, -1] - weight_CD @ mean_D, inverse_strength)


def _chosen(inputs_NE: Array, probs_NC: Array) -> float:
    """Return the C with the smallest cross-entropy over rows that a fit has not seen; of equal ones the smallest."""
    if len(inputs_NE) < 2 * _FOLDS:
        return 1.0
    if len(inputs_NE) > _LARGEST_FOR_CHOICE:
        some = np.sort(np.random.default_rng(0).permutation(len(inputs_NE))[:_LARGEST_FOR_CHOICE])
        inputs_NE, probs_NC = inputs_NE[some], probs_NC[some]
    fold_N = stratified_folds(probs_NC.argmax(axis=-1), range(len(probs_NC)), _FOLDS)
    losses = np.zeros(len(INVERSE_STRENGTHS))
    for fold in range(_FOLDS):
        seen_N = fold_N != fold
        weights_CE = None
        for place, strength in enumerate(INVERSE_STRENGTHS):
            weights_CE = _fitted(inputs_NE[seen_N], probs_NC[seen_N], strength, weights_CE)
            losses[place] += _cross_entropy(inputs_NE[~seen_N] @ weights_CE.T, probs_NC[~seen_N])[0]
    return INVERSE_STRENGTHS[int(losses.argmin())]


def _fitted(inputs_NE: Array, probs_NC: Array, strength: float, start_CE: Array | None = None) -> Array:
    from scipy.optimize import minimize

    shape = (probs_NC.shape[1], inputs_NE.shape[1])
    penalty = 1 / (strength * len(inputs_NE))

    def loss_and_gradient(flat: Array) -> tuple[float, Array]:
        weights_CE = flat.reshape(shape)
        loss, residuals_NC = _cross_entropy(inputs_NE @ weights_CE.T, probs_NC)
        gradient_CE = residuals_NC.T @ inputs_NE / len(inputs_NE) + penalty * weights_CE
        return loss / len(inputs_NE) + penalty / 2 * float((weights_CE**2).sum()), gradient_CE.ravel()

    start = np.zeros(shape) if start_CE is None else start_CE
    options = {"maxiter": 1000, "gtol": _TOLERANCE, "ftol": 0.0, "maxcor": 20}
    found = minimize(loss_and_gradient, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    weights: Array = found.x.reshape(shape)
    return weights


def _cross_entropy(logits_NC: Array, probs_NC: Array) -> tuple[float, Array]:
    """Return the sum of ``CE(p, softmax(z))`` over rows, and its gradient by the logits, ``softmax(z) - p``."""
    logits_NC = logits_NC - logits_NC.max(axis=-1, keepdims=True)
    log_probs_NC = logits_NC - np.log(np.exp(logits_NC).sum(axis=-1, keepdims=True))
    return float(-(probs_NC * log_probs_NC).sum()), np.exp(log_probs_NC) - probs_NC
