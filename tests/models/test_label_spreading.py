"""Label spreading against its closed form, and what it does at the edges."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.models.label_spreading import spread_head, spread_labels
from limbeck.numerics.logistic_regression import fit_logistic_regression, one_hot


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


def _moons(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two arcs of directions, as features that a linear head can tell apart, and the arc of each."""
    arc_N, along_N = np.arange(rows) % 2, np.linspace(0, 1, rows)
    angle_N = arc_N * 2.2 + along_N * 1.9
    return np.stack([np.cos(angle_N), np.sin(angle_N), np.ones(rows) / 4], axis=1), arc_N


def test_a_head_learns_from_unlabelled_rows() -> None:
    features_ND, gold_N = _moons(400)
    class_N = np.where(np.isin(np.arange(400), [0, 1]), gold_N, -1)  # both at the start of their arc
    alone = fit_logistic_regression(features_ND[:2], one_hot(gold_N[:2], 2))
    heads = [alone, spread_head(features_ND, class_N, 2)]
    right = [((features_ND @ h.weight_CD.T + h.bias_C).argmax(axis=1) == gold_N).mean() for h in heads]
    assert right[1] > 0.98 > right[0] + 0.05


def test_a_head_of_labelled_rows_alone_is_the_plain_one() -> None:
    features_ND, gold_N = _blobs(30)
    plain, spread = fit_logistic_regression(features_ND, one_hot(gold_N, 3)), spread_head(features_ND, gold_N, 3)
    np.testing.assert_array_equal(plain.weight_CD, spread.weight_CD)


def test_a_head_without_bias() -> None:
    features_ND, gold_N = _blobs(60)
    head = spread_head(features_ND, np.where(np.arange(60) < 6, gold_N, -1), 3, bias=False)
    np.testing.assert_array_equal(head.bias_C, 0)
