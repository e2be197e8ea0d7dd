from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from limbeck.numerics.opinion_pool import pool_weights, pooled


def objective(weights_M: NDArray[np.float64], probs_NM: NDArray[np.float64], prior: float) -> float:
    return float(np.log(probs_NM @ weights_M).sum() + prior * np.log(weights_M).sum())


@pytest.mark.parametrize("prior", [0.5, 1.0, 4.0])
@pytest.mark.parametrize(("rows", "members"), [(1, 2), (40, 3), (200, 5)])
def test_weights_are_those_that_a_general_optimiser_finds(rows: int, members: int, prior: float) -> None:
    probs_NM = np.random.default_rng(rows).beta(2, 1, (rows, members))
    found = minimize(
        lambda x: -objective(np.exp(x) / np.exp(x).sum(), probs_NM, prior), np.zeros(members), method="BFGS"
    )
    expected = np.exp(found.x) / np.exp(found.x).sum()
    assert pool_weights(probs_NM, prior_rows=prior) == pytest.approx(expected, abs=1e-4)


@given(st.integers(0, 1000), st.integers(1, 30), st.integers(1, 4))
def test_weights_are_on_the_simplex(seed: int, rows: int, members: int) -> None:
    weights_M = pool_weights(np.random.default_rng(seed).random((rows, members)))
    assert weights_M.sum() == pytest.approx(1)
    assert (weights_M > 0).all()


def test_equal_members_get_equal_weights_and_a_useless_one_little() -> None:
    good = np.random.default_rng(0).uniform(0.7, 0.9, 400)
    weights_M = pool_weights(np.stack([good, good, np.full(400, 0.01)], axis=1))
    assert weights_M[0] == pytest.approx(weights_M[1])
    assert weights_M[2] < 0.01


def test_a_member_that_is_right_where_the_other_is_wrong_is_worth_a_share() -> None:
    weights_M = pool_weights(np.array([[0.9, 0.1]] * 60 + [[0.1, 0.9]] * 30))
    assert 0.2 < weights_M[1] < 0.4


def test_few_rows_leave_the_weights_near_equal_ones() -> None:
    assert pool_weights(np.array([[0.9, 0.1]])).max() < 0.7
    assert pool_weights(np.array([[0.9, 0.1]] * 500)).max() > 0.95


def test_a_row_that_all_members_rule_out_keeps_the_weights_finite() -> None:
    weights_M = pool_weights(np.array([[0.0, 0.0], [0.5, 0.2], [0.0, 1.0]]))
    assert np.isfinite(weights_M).all()


def test_the_mean_is_over_the_members_that_answered() -> None:
    probs_MNC = np.array([[[1.0, 0.0], [1.0, 0.0], [0.3, 0.7]], [[0.0, 1.0], [0.5, 0.5], [0.5, 0.5]]])
    answered_MN = np.array([[True, True, False], [True, False, False]])
    found = pooled(probs_MNC, answered_MN, np.array([0.75, 0.25]))
    assert found == pytest.approx(np.array([[0.75, 0.25], [1.0, 0.0], [0.0, 0.0]]))
