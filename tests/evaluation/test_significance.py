"""Intervals and tests against known values."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from limbeck.evaluation import significance
from limbeck.evaluation.significance import (
    Statistic,
    bootstrap_p_value,
    holm,
    mcnemar,
    paired_t,
    paired_t_test,
    resample,
    share_p_value,
)


def mean_of(values: NDArray[np.float64]) -> Statistic:
    return lambda indices: values[indices].mean(axis=-1)


def right(only_first: int, only_second: int, both: int = 30) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    first = [True] * only_first + [False] * only_second + [True] * both
    second = [False] * only_first + [True] * only_second + [True] * both
    return np.array(first), np.array(second)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [(12, 3, 0.03515625), (10, 2, 0.03857421875), (2, 10, 0.03857421875), (5, 5, 1.0), (6, 0, 0.03125), (0, 0, 1.0)],
)
def test_mcnemar_is_the_exact_binomial(only_first: int, only_second: int, p_value: float) -> None:
    found = mcnemar(*right(only_first, only_second), seed=4)
    assert (found.name, found.seed) == ("mcnemar", 4)
    assert list(found.details.values()) == [only_first, only_second]
    assert found.p_value == pytest.approx(p_value, rel=1e-12)


def test_resamples_are_paired_row_by_row() -> None:
    values = np.random.default_rng(0).random(50)
    first, second = resample(mean_of(values), 50, resamples=20), resample(mean_of(values + 1), 50, resamples=20)
    np.testing.assert_allclose(second - first, 1)
    assert not np.array_equal(first, resample(mean_of(values), 50, resamples=20, seed=1))


@pytest.mark.parametrize("rows", [7, 50])
def test_resamples_do_not_depend_on_how_many_are_drawn_at_once(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(rows)
    whole = resample(mean_of(values), rows, resamples=101)
    assert whole.shape == (101,)
    monkeypatch.setattr(significance, "_INDICES_AT_ONCE", 3 * rows + 1)
    assert np.array_equal(resample(mean_of(values), rows, resamples=101), whole)
    monkeypatch.setattr(significance, "_INDICES_AT_ONCE", 1)
    assert np.array_equal(resample(mean_of(values), rows, resamples=101), whole)


def test_p_value_of_no_difference_is_1() -> None:
    assert bootstrap_p_value(np.zeros(2000)) == 1


@pytest.mark.parametrize(
    ("below", "zero", "above", "p_value"),
    [(50, 0, 1949, 2 * 51 / 2000), (1949, 0, 50, 2 * 51 / 2000), (0, 0, 1999, 2 / 2000), (10, 20, 69, 2 * 31 / 100)],
)
def test_p_value_by_hand(below: int, zero: int, above: int, p_value: float) -> None:
    differences = np.concatenate([np.full(below, -0.1), np.zeros(zero), np.full(above, 0.1)])
    assert bootstrap_p_value(differences) == pytest.approx(p_value)


def test_p_value_agrees_with_the_interval() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.1, 0.2, 0.3):
        draws = rng.normal(shift, 0.1, 2000)
        low, high = np.quantile(draws, [0.025, 0.975])
        assert (bootstrap_p_value(draws) < 0.05) == (low > 0 or high < 0)


def test_paired_t_test_of_a_known_case() -> None:
    t = 2 * math.sqrt(3)
    assert paired_t_test([1.0, 2.0, 3.0]) == pytest.approx(1 - t / math.sqrt(2 + t * t))
    assert paired_t_test([-1.0, -2.0, -3.0]) == paired_t_test([1.0, 2.0, 3.0])


def test_no_t_test_with_fewer_than_three_seeds_or_without_spread() -> None:
    assert paired_t_test([0.1, 0.2]) is None
    assert paired_t_test([0.1, 0.1, 0.1]) is None


def test_rounding_is_no_spread() -> None:
    differences = [0.9 - 0.8, 0.8 - 0.7, 0.7 - 0.6]
    assert differences == pytest.approx([0.1] * 3)
    assert paired_t_test(differences) is None


def test_t_test_with_interval_of_a_known_case() -> None:
    first, second = (0.80, 0.82, 0.79, 0.85, 0.81), (0.78, 0.79, 0.78, 0.80, 0.80)
    found = paired_t([a - b for a, b in zip(first, second, strict=True)])
    assert found is not None
    assert found.mean == pytest.approx(0.024)
    assert found.sd == pytest.approx(0.016733, abs=1e-6)
    assert found.t == pytest.approx(3.207135, abs=1e-6)
    assert found.degrees_of_freedom == 4
    assert found.p_value == pytest.approx(0.032678, abs=1e-6)
    assert (found.low, found.high) == pytest.approx((0.003223, 0.044777), abs=1e-6)


def test_a_mean_without_spread_has_no_t_test() -> None:
    assert paired_t([0.9 - 0.8, 0.8 - 0.7, 0.7 - 0.6]) is None
    assert paired_t([0.0] * 5) is None
    assert paired_t([0.1, 0.2]) is None


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.02, None, 0.03], [0.04, None, 0.04]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([None, None], [None, None]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values: list[float | None], corrected: list[float | None]) -> None:
    assert holm(p_values) == [None if p is None else pytest.approx(p) for p in corrected]


ITEM_DIFFERENCES = np.array([1.0, 1.0, 0.0, -1.0])


def test_share_p_value_of_all_256_resamples() -> None:
    draws = ITEM_DIFFERENCES[list(itertools.product(range(4), repeat=4))].mean(axis=1)
    assert len(draws) == 256
    assert draws.mean() == pytest.approx(0.25)
    assert (draws <= 0).mean() == 0.375
    assert (draws >= 0).mean() == pytest.approx(0.816406, abs=1e-6)
    assert share_p_value(draws) == 0.75
    assert share_p_value(-draws) == 0.75


def test_share_p_value_of_identical_systems_is_1_in_spite_of_rounding() -> None:
    assert share_p_value(np.zeros(100)) == 1
    assert share_p_value(np.full(100, 1e-17)) == 1
    assert share_p_value(np.full(100, -1e-17)) == 1
    assert share_p_value(np.full(100, 0.1)) == 0
