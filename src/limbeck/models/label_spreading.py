"""Unlabelled rows help a linear head: labels spread to them from their neighbours, and the head learns from both."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.numerics.logistic_regression import LinearHead, fit_logistic_regression, one_hot

__all__ = ["spread_head", "spread_labels"]

Array = NDArray[np.float64]

_STEPS = 50
"""A label of weight 1 has a share of 0.9^50 = 0.5 % left to spread."""
_CLOSENESS = 10.0
"""An edge's weight falls by the factor e for every 0.1 of cosine distance."""


def spread_head(
    features_ND: NDArray[Any],
    class_N: NDArray[np.int64],
    classes: int,
    inverse_strength: float | None = None,
    *,
    bias: bool = True,
) -> LinearHead:
    """Return a logistic regression on labelled and unlabelled rows.

    An unlabelled row gets the mean of two opinions, squared and normalised: its spread label (`spread_labels`), and
    the probabilities of a logistic regression on the labelled rows. The new head has that regression's strength of
    regularisation for the whole of its rows: ``C_all N = C_labelled N_labelled``.

    Reference: Lee 2013, "Pseudo-Label" (self-training); Berthelot et al. 2019, "MixMatch", arXiv:1905.02249,
    equation 7 (sharpening, here with T = 0.5). The mean with spread labels is ours.

    Args:
        features_ND: features of each row.
        class_N: the class of each row, at least one; below 0: unlabelled.
        classes: how many.
        inverse_strength: C of the regression on the labelled rows; by default found as `fit_logistic_regression` does.
        bias: whether the head has one.
    """
    labelled = np.flatnonzero(class_N >= 0)
    gold_LC = one_hot(class_N[labelled], classes)
    first = fit_logistic_regression(features_ND[labelled], gold_LC, inverse_strength, bias=bias)
    if len(labelled) == len(class_N):
        return first
    logits_NC = features_ND @ first.weight_CD.T + first.bias_C
    probs_NC = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    probs_NC /= probs_NC.sum(axis=1, keepdims=True)
    sharp_NC = (probs_NC + spread_labels(features_ND, class_N, classes)) ** 2
    sharp_NC /= sharp_NC.sum(axis=1, keepdims=True)
    sharp_NC[labelled] = gold_LC
    share = len(labelled) / len(class_N)
    return fit_logistic_regression(features_ND, sharp_NC, first.inverse_strength * share, bias=bias)


def spread_labels(
    features_ND: NDArray[Any], class_N: NDArray[np.int64], classes: int, *, neighbours: int = 10, share: float = 0.9
) -> Array:
    """Return the probabilities ``[N, C]`` of each row's class, spread from the labelled rows.

    ``F <- share * S F + (1 - share) * Y``, with Y the labels and ``S = D^-1/2 W D^-1/2``. W joins each row with its
    nearest neighbours by the cosine of their features, with weight ``exp(-10 (1 - cosine))``; a pair is joined if
    either is a neighbour of the other. A row that no label reaches gets the same probability for every class.

    Reference: Zhou et al. 2004, "Learning with Local and Global Consistency", NeurIPS 16, section 2. There W is a
    Gaussian kernel of all pairs, and D its row sums.

    Args:
        features_ND: features of each row.
        class_N: the class of each row; below 0: unlabelled.
        classes: how many.
        neighbours: of each row, besides itself.
        share: of what a row takes from its neighbours, against its own label (alpha).

    >>> spread_labels(np.array([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]]), np.array([0, -1, 1, -1]), 2, neighbours=1)
    array([[1., 0.],
           [1., 0.],
           [0., 1.],
           [0., 1.]])
    """
    graph = _graph(features_ND.astype(np.float32), min(neighbours, len(features_ND) - 1))
    given_NC = np.zeros((len(class_N), classes))
    labelled = np.flatnonzero(class_N >= 0)
    given_NC[labelled, class_N[labelled]] = 1.0
    found_NC = given_NC
    for _ in range(_STEPS):
        found_NC = share * (graph @ found_NC) + (1 - share) * given_NC
    total_N1 = found_NC.sum(axis=1, keepdims=True)
    return np.where(total_N1 > 0, found_NC / np.where(total_N1 > 0, total_N1, 1.0), 1 / classes)


def _graph(features_ND: NDArray[np.float32], neighbours: int) -> Any:
    """Return the normalised weights of the edges between rows, sparse ``[N, N]``."""
    from scipy import sparse
    from sklearn.neighbors import NearestNeighbors

    if neighbours < 1:
        return sparse.csr_array((len(features_ND),) * 2)
    index = NearestNeighbors(n_neighbors=neighbours, metric="cosine", algorithm="brute").fit(features_ND)
    distances = index.kneighbors_graph(mode="distance")  # of the rows themselves, so none is its own neighbour
    distances.data = np.exp(-_CLOSENESS * distances.data.astype(np.float64))
    weights = sparse.csr_array(distances.maximum(distances.T))
    degree_N = weights.sum(axis=1)
    scale = sparse.diags_array(1 / np.sqrt(np.maximum(degree_N, np.finfo(np.float64).tiny)))
    return scale @ weights @ scale
