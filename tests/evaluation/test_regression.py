"""Figures of predicted numbers: against scipy and scikit-learn, and where these have none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mean_squared_error as reference_error

from limbeck.evaluation.regression import mean_squared_error, pearson, spearman

VALUES = st.integers(-50, 50).map(lambda number: number / 4)
PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=20).map(lambda pairs: np.array(pairs).T)


@given(pair=PAIRS)
def test_against_the_reference(pair: np.ndarray) -> None:
    gold, predicted = pair
    assert mean_squared_error(gold, predicted) == pytest.approx(reference_error(gold, predicted))
    assume(np.ptp(gold) > 0 and np.ptp(predicted) > 0)
    assert pearson(gold, predicted) == pytest.approx(stats.pearsonr(gold, predicted).statistic, abs=1e-9)
    assert spearman(gold, predicted) == pytest.approx(stats.spearmanr(gold, predicted).statistic, abs=1e-9)


@given(pair=PAIRS)
def test_order_and_unit_do_not_matter_to_correlations(pair: np.ndarray) -> None:
    gold, predicted = pair
    assert pearson(gold, 1000 * predicted + 3) == pytest.approx(pearson(gold, predicted), abs=1e-6)
    assert spearman(gold, predicted**3) == pytest.approx(spearman(gold, predicted), abs=1e-9)
    assert pearson(gold, gold) == pytest.approx(float(np.ptp(gold) > 0))


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9 + 0.1])
def test_a_constant_correlates_with_nothing(constant: float) -> None:
    gold, flat = np.array([1.0, 2.0, 4.0]), np.full(3, constant)
    assert pearson(gold, flat) == pearson(flat, gold) == spearman(gold, flat) == 0.0


def test_many_samples_at_once() -> None:
    rng = np.random.default_rng(0)
    gold, predicted = rng.normal(size=(2, 5, 30))
    for figure in (mean_squared_error, pearson, spearman):
        one_by_one = [figure(g, p) for g, p in zip(gold, predicted, strict=True)]
        assert figure(gold, predicted) == pytest.approx(one_by_one)
