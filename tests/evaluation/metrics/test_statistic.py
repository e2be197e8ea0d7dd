"""Sums over rows, and bootstrap samples of them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.sparse import csr_array

from limbeck.evaluation.metrics.statistic import Statistic, mean_of, pooled, ratio_of, sample

RNG = partial(np.random.default_rng, 0)


def test_samples_are_those_of_the_textbook() -> None:
    values = np.random.default_rng(1).normal(size=50)
    (found,) = sample({"mean": mean_of(values)}, resamples=200, rng=RNG).values()
    drawn = np.random.default_rng(0).integers(0, 50, (200, 50))
    assert found[0] == pytest.approx(values.mean())
    assert found[1:] == pytest.approx(values[drawn].mean(axis=1))


def test_samples_depend_on_the_number_of_rows_alone() -> None:
    values = np.arange(30.0)
    alone = sample({0: mean_of(values)}, resamples=50, rng=RNG)[0]
    among = sample(
        {0: mean_of(values), 1: mean_of(values[:7]), 2: ratio_of(values, values + 1)}, resamples=50, rng=RNG
    )
    assert among[0] == pytest.approx(alone)


def test_rows_without_weight_do_not_count() -> None:
    found = sample({0: ratio_of([1.0, np.nan, 9.0], [1, 0, 1])}, resamples=300, rng=RNG)[0]
    assert found[0] == 5
    assert np.isnan(found[1:]).any()  # a sample of the middle row alone


def test_sparse_columns_are_summed_as_dense_ones() -> None:
    columns = np.random.default_rng(2).integers(0, 2, (40, 6)).astype(float)

    def figure(sums: np.ndarray) -> np.ndarray:
        return sums[:, 0] / (1 + sums[:, 1:].sum(axis=1))

    found = sample(
        {"dense": Statistic(40, figure, columns), "sparse": Statistic(40, figure, csr_array(columns))},
        resamples=100,
        rng=RNG,
    )
    assert found["dense"] == pytest.approx(found["sparse"])


def test_a_figure_that_is_no_function_of_sums_gets_the_samples() -> None:
    def largest(counts_RN: np.ndarray) -> np.ndarray:
        return np.where(counts_RN > 0, np.arange(20), -1).max(axis=1)

    found = sample({0: Statistic(20, largest)}, resamples=100, rng=RNG)[0]
    drawn = np.random.default_rng(0).integers(0, 20, (100, 20))
    assert found.tolist() == [19, *drawn.max(axis=1)]


def test_seeds_taken_together() -> None:
    first, second = np.array([1.0, 2.0, 3.0]), np.array([4.0, 6.0, 8.0])
    together = sample({0: pooled([mean_of(first), mean_of(second)])}, resamples=5, rng=RNG)[0]
    each = sample({1: mean_of(first), 2: mean_of(second)}, resamples=5, rng=RNG)
    assert together == pytest.approx((each[1] + each[2]) / 2)


def test_many_rows_are_drawn_a_few_samples_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).normal(size=64)
    whole = sample({0: mean_of(values)}, resamples=40, rng=RNG)[0]
    monkeypatch.setattr("limbeck.evaluation.metrics.statistic._INDICES_AT_ONCE", 300)
    assert sample({0: mean_of(values)}, resamples=40, rng=RNG)[0] == pytest.approx(whole)


def test_samples_come_as_often_as_all_256_of_four_rows() -> None:
    draws = sample({0: mean_of([1.0, 1.0, 0.0, -1.0])}, resamples=40_000, rng=RNG)[0][1:]
    assert draws.mean() == pytest.approx(0.25, abs=0.01)
    assert (draws <= 0).mean() == pytest.approx(0.375, abs=0.01)
    assert (draws >= 0).mean() == pytest.approx(0.816406, abs=0.01)
