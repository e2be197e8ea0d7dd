"""Labels of unlabelled rows from their neighbours: label spreading on a graph of the nearest rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["spread_labels"]

Array = NDArray[np.float64]

_STEPS = 50
"""A label of weight 1 has a share of 0.9^50 = 0.5 % left to spread."""
_CLOSENESS = 10.0
"""An edge's weight falls by the factor e for every 0.1 of cosine distance."""


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
