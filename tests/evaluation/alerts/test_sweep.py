"""False alarms at a sensitivity: by hand, against a slow search, and the interval's coverage of its value."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from limbeck.evaluation.alerts.sweep import SENSITIVITIES, sweep, sweep_curve

RNG = np.random.default_rng(5)


def slow(probs: NDArray[np.float64], risk: NDArray[np.bool_], wanted: float) -> tuple[float, float]:
    """Highest threshold that reaches the sensitivity, and false alarms per 1,000, by trying all of them."""
    for threshold in sorted(set(probs.tolist()), reverse=True):
        alarms = probs >= threshold
        if (alarms & risk).sum() >= wanted * risk.sum() - 1e-9:
            return threshold, 1000 * float((alarms & ~risk).sum()) / len(risk)
    raise AssertionError


def test_ten_articles_by_hand() -> None:
    probs = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05])
    risk = np.array([1, 0, 1, 1, 0, 1, 0, 0, 1, 0], dtype=bool)
    eighty, ninety, most = sweep(probs, risk)
    assert (eighty.threshold, eighty.reached_sensitivity) == (0.4, 0.8)
    assert eighty.false_alarms_per_1000.value == 200
    assert eighty.alarms_per_1000 == 600
    assert (ninety.threshold, ninety.reached_sensitivity, ninety.false_alarms_per_1000.value) == (0.1, 1, 400)
    assert (most.threshold, most.alarms_per_1000) == (0.1, 900)


@pytest.mark.parametrize("decimals", [1, 2, 9])
def test_thresholds_are_those_of_a_slow_search_also_with_ties(decimals: int) -> None:
    for rows in (7, 60, 500):
        risk = RNG.random(rows) < 0.3
        risk[0], risk[1] = True, False
        probs = np.clip(RNG.normal(0.35 + 0.3 * risk, 0.2), 0, 1).round(decimals)
        for point in sweep(probs, risk, resamples=20):
            threshold, false_alarms = slow(probs, risk, point.sensitivity)
            assert point.threshold == threshold
            assert point.false_alarms_per_1000.value == pytest.approx(false_alarms)
            assert point.alarms_per_1000 == pytest.approx(1000 * (probs >= threshold).mean())


def test_the_interval_is_that_of_a_slow_bootstrap() -> None:
    risk = RNG.random(300) < 0.2
    probs = np.clip(RNG.normal(0.35 + 0.3 * risk, 0.2), 0, 1)
    point = sweep(probs, risk)[1]
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(400):
        rows = rng.integers(0, 300, 300)
        drawn.append(slow(probs[rows], risk[rows], SENSITIVITIES[1])[1])
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert point.false_alarms_per_1000.low == pytest.approx(low, abs=35)
    assert point.false_alarms_per_1000.high == pytest.approx(high, abs=60)
    assert low < point.false_alarms_per_1000.value < high


def test_samples_without_risk_are_passed_over() -> None:
    probs, risk = np.linspace(1, 0, 6), np.array([True, *[False] * 5])
    for point in sweep(probs, risk, resamples=200):
        assert (point.false_alarms_per_1000.value, point.reached_sensitivity) == (0, 1)


def test_the_same_rows_give_the_same_figures_in_any_order() -> None:
    risk = RNG.random(80) < 0.4
    probs = RNG.random(80).round(1)
    order = RNG.permutation(80)
    for one, other in zip(sweep(probs, risk), sweep(probs[order], risk[order]), strict=True):
        assert one.threshold == other.threshold
        assert one.false_alarms_per_1000.value == other.false_alarms_per_1000.value


def test_the_curve_rises_from_nothing_to_everything() -> None:
    risk = RNG.random(2000) < 0.1
    false_alarms, found = sweep_curve(RNG.random(2000), risk)
    assert len(found) == len(false_alarms) == 200
    assert (false_alarms[0], found[0]) == (0, 0)
    assert (false_alarms[-1], found[-1]) == (pytest.approx(1000 * (~risk).mean()), 1)
    assert (np.diff(false_alarms) >= 0).all()
    assert (np.diff(found) >= 0).all()
