"""Label spreading against its closed form, and what it does at the edges."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.numerics.label_spreading import spread_labels


def _blobs(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return points around three directions, and which of them each is around."""
    rng = np.random.default_rng(seed)
    class_N = np.arange(rows) % 3
    return np.eye(3, 5)[class_N] + 0.15 * rng.standard_normal((rows, 5)), class_N


def test_equals_the_closed_form_of_the_paper() -> None:
    features_ND, gold_N = _blobs(30)
    class_N = np.where(np.arange(30) < 6, gold_N, -1)
    unit_ND = features_ND / np.linalg.norm(features_ND, axis=1, keepdims=True)
    cosine_NN = unit_ND @ unit_ND.T
    weight_NN = np.zeros((30, 30))
    for row in range(30):
        others = [other for other in np.argsort(-cosine_NN[row]) if other != row]
        for other in others[:4]:
            weight_NN[row, other] = weight_NN[other, row] = np.exp(-10 * (1 - cosine_NN[row, other]))
    degree_N = weight_NN.sum(axis=1)
    s_NN = weight_NN / np.sqrt(np.outer(degree_N, degree_N))
    given_NC = np.zeros((30, 3))
    given_NC[np.arange(6), gold_N[:6]] = 1
    limit_NC = np.linalg.solve(np.eye(30) - 0.5 * s_NN, 0.5 * given_NC)
    expected_NC = limit_NC / limit_NC.sum(axis=1, keepdims=True)
    found_NC = spread_labels(features_ND, class_N, 3, neighbours=4, share=0.5)
    np.testing.assert_allclose(found_NC, expected_NC, atol=1e-5)


def test_labels_a_cluster_from_one_row_of_it() -> None:
    features_ND, gold_N = _blobs(300)
    class_N = np.where(np.arange(300) < 3, gold_N, -1)
    assert (spread_labels(features_ND, class_N, 3).argmax(axis=1) == gold_N).mean() > 0.98


def test_a_row_that_no_label_reaches_is_undecided() -> None:
    features_ND = np.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.01, 1.0]])
    found_NC = spread_labels(features_ND, np.array([0, -1, -1, -1]), 2, neighbours=1)
    np.testing.assert_allclose(found_NC, [[1, 0], [1, 0], [0.5, 0.5], [0.5, 0.5]])


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_fewer_rows_than_neighbours(rows: int) -> None:
    found_NC = spread_labels(np.eye(3)[:rows] + 0.1, np.array([1, -1, -1])[:rows], 2)
    np.testing.assert_allclose(found_NC, np.tile([0.0, 1.0], (rows, 1)))
