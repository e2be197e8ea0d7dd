"""Severity, bands and entropy: the worked example, bounds, monotony."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy

from limbeck.evaluation.alerts.rules import Bands
from limbeck.evaluation.alerts.severity import band_of, normalised_entropy, severity

SEVERITIES = [0.0, 0.5, 1.0]


def test_the_worked_example() -> None:
    probs = np.array([[0.1, 0.25, 0.65], [1 / 3, 1 / 3, 1 / 3]])
    assert severity(probs, SEVERITIES) == pytest.approx([0.775, 0.5])
    assert normalised_entropy(probs) == pytest.approx([0.780, 1], abs=5e-4)


@pytest.mark.parametrize(
    ("value", "band"), [(0, "low"), (0.3499, "low"), (0.35, "medium"), (0.6999, "medium"), (0.7, "high"), (1, "high")]
)
def test_a_bound_belongs_to_the_band_above(value: float, band: str) -> None:
    assert band_of(value, Bands()) == band


def test_probabilities_that_add_up_to_a_bound_are_of_the_band_above() -> None:
    probs = np.array([[0.3, 0.0, 0.7], [0.15, 0.3, 0.55], [0.3, 0.7, 0.0]])
    assert [band_of(float(s), Bands()) for s in severity(probs, SEVERITIES)] == ["high", "high", "medium"]


@given(st.floats(0, 1), st.floats(0, 0.99), st.floats(0.001, 1))
def test_severity_grows_with_risk_at_a_fixed_ratio_of_safe_to_caution(ratio: float, risk: float, more: float) -> None:
    def at(p_risk: float) -> float:
        rest = 1 - p_risk
        return float(severity(np.array([[rest * ratio, rest * (1 - ratio), p_risk]]), SEVERITIES)[0])

    assert at(min(1, risk + more)) > at(risk)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6).filter(lambda p: sum(p) > 0.01))
def test_entropy_is_scipys_over_its_maximum(weights: list[float]) -> None:
    probs = np.array(weights) / sum(weights)
    expected = scipy_entropy(probs) / np.log(len(probs))
    assert normalised_entropy(probs[None])[0] == pytest.approx(expected, abs=1e-9)
