"""Reliability bins and expected calibration error, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.evaluation.calibration import (
    bin_columns,
    calibration_error,
    expected_calibration_error,
    reliability_bins,
)


def two_classes(confidences: list[float]) -> np.ndarray:
    return np.array([[c, 1 - c] for c in confidences])


def test_bins_and_error_by_hand() -> None:
    probs = two_classes([0.9, 0.95, 0.85, 0.55, 0.65])
    gold = np.array([0, 0, 1, 0, 1])
    high, low = 0.9, 0.6
    bins = reliability_bins(probs, gold, bins=5)
    assert [(b.low, b.high, b.rows) for b in bins] == [
        (pytest.approx(0.4), pytest.approx(0.6), 1),
        (pytest.approx(0.6), pytest.approx(0.8), 1),
        (pytest.approx(0.8), pytest.approx(1.0), 3),
    ]
    assert bins[2].mean_confidence == pytest.approx(high)
    assert bins[2].accuracy == pytest.approx(2 / 3)
    expected = (1 * abs(1 - 0.55) + 1 * abs(0 - 0.65) + 3 * abs(2 / 3 - high)) / 5
    assert expected_calibration_error(bins) == pytest.approx(expected)
    assert calibration_error(bin_columns(probs, gold, bins=5).sum(axis=0)) == pytest.approx(expected)
    assert low < high


def test_a_border_belongs_to_the_bin_below_and_certainty_to_the_last() -> None:
    bins = reliability_bins(two_classes([0.75, 1.0]), np.array([0, 0]), bins=4)
    assert [(b.low, b.high) for b in bins] == [(0.5, 0.75), (0.75, 1.0)]


def test_always_sure_and_always_right_or_wrong() -> None:
    probs = two_classes([1.0, 1.0])
    assert expected_calibration_error(reliability_bins(probs, np.array([0, 0]))) == 0
    assert expected_calibration_error(reliability_bins(probs, np.array([1, 1]))) == 1


def test_every_row_is_in_one_of_fifteen_bins() -> None:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(4), 500)
    bins = reliability_bins(probs, rng.integers(0, 4, 500))
    assert sum(b.rows for b in bins) == 500
    assert all(b.low < b.mean_confidence <= b.high for b in bins)
    assert all(b.high - b.low == pytest.approx(1 / 15) for b in bins)


def test_labels_drawn_from_the_probabilities_are_well_calibrated() -> None:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), 20_000)
    gold = (rng.random(20_000)[:, None] > probs.cumsum(axis=1)).sum(axis=1)
    assert expected_calibration_error(reliability_bins(probs, gold)) < 0.02
