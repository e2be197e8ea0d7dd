"""Figures of predicted numbers: against scipy and scikit-learn, in resampled rows too, and where these have none."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mean_squared_error

from limbeck.evaluation.metrics.measure import measure
from limbeck.evaluation.metrics.regression import REGRESSION, ValueOutputs, correlation
from limbeck.evaluation.metrics.statistic import sample

VALUES = st.integers(-50, 50).map(lambda number: number / 4)
PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=20).map(lambda pairs: np.array(pairs).T)
MEASURES = {one.metric.key: one for one in REGRESSION}


def figures(key: str, gold: np.ndarray, predicted: np.ndarray, resamples: int = 0) -> np.ndarray:
    """The figure of these rows, then of bootstrap samples of them."""
    statistic = MEASURES[key].statistic(ValueOutputs(_column(predicted), _column(gold), None))
    assert statistic is not None
    return sample({0: statistic}, resamples=resamples, rng=partial(np.random.default_rng, 0))[0]


def _column(values: np.ndarray) -> np.ndarray:
    return values[:, None] if values.ndim == 1 else values


@given(pair=PAIRS)
def test_against_the_reference(pair: np.ndarray) -> None:
    gold, predicted = pair
    assert figures("mse", gold, predicted)[0] == pytest.approx(mean_squared_error(gold, predicted))
    assume(np.ptp(gold) > 0 and np.ptp(predicted) > 0)
    assert figures("pearson", gold, predicted)[0] == pytest.approx(stats.pearsonr(gold, predicted)[0], abs=1e-9)
    assert figures("spearman", gold, predicted)[0] == pytest.approx(stats.spearmanr(gold, predicted)[0], abs=1e-9)


def test_bootstrap_samples_are_measured_as_if_their_rows_were_written_out() -> None:
    rng = np.random.default_rng(1)
    gold = rng.integers(0, 5, 40).astype(float)  # with ties
    predicted = gold + rng.normal(size=40).round(1)
    drawn = np.random.default_rng(0).integers(0, 40, (25, 40))
    for key, reference in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        expected = [reference(gold[rows], predicted[rows])[0] for rows in drawn]
        assert figures(key, gold, predicted, 25)[1:] == pytest.approx(expected)


@given(pair=PAIRS)
def test_order_and_unit_do_not_matter_to_correlations(pair: np.ndarray) -> None:
    gold, predicted = pair
    before = figures("pearson", gold, predicted)
    assert figures("pearson", gold, 1000 * predicted + 3) == pytest.approx(before, abs=1e-6)
    assert figures("spearman", gold, predicted**3) == pytest.approx(figures("spearman", gold, predicted), abs=1e-9)
    assert figures("pearson", gold, gold) == pytest.approx(float(np.ptp(gold) > 0))


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9 + 0.1])
def test_a_constant_correlates_with_nothing(constant: float) -> None:
    gold, flat = np.array([1.0, 2.0, 4.0]), np.full(3, constant)
    for key in ("pearson", "spearman"):
        assert figures(key, gold, flat).tolist() == figures(key, flat, gold).tolist() == [0.0]
    assert correlation(np.array([[2.0, 0, 0]]), gold, gold).tolist() == [0.0], "one row, drawn twice"


def test_several_numbers_are_averaged_and_unlabelled_rows_left_out() -> None:
    gold = np.array([[1.0, 10.0], [np.nan, np.nan], [2.0, 30.0], [3.0, 20.0]])
    predicted = np.array([[1.0, 0.0], [9.0, 9.0], [2.0, 1.0], [4.0, 2.0]])
    outputs = ValueOutputs(predicted, gold, predicted + 1)
    found = measure({"s": {0: outputs}}, REGRESSION, resamples=20)
    assert found["s", "mse"].draws[0] == pytest.approx(np.mean([1 / 3, (100 + 29**2 + 18**2) / 3]))
    assert found["s", "spearman"].draws[0] == pytest.approx(np.mean([1.0, 0.5]))
    assert found["s", "mse_to_teacher"].draws[0] == pytest.approx(1.0)
    assert (found["s", "mse"].rows, found["s", "mse_to_teacher"].rows) == (3, 4)
    second = measure({"s": {0: outputs.of(1)}}, REGRESSION, resamples=20)
    assert second["s", "spearman"].draws[0] == pytest.approx(0.5)


def test_without_gold_values_there_is_the_teacher_only() -> None:
    outputs = ValueOutputs(np.zeros((2, 1)), np.full((2, 1), np.nan), np.ones((2, 1)))
    assert [key for _, key in measure({"s": {0: outputs}}, REGRESSION, resamples=5)] == ["mse_to_teacher"]
