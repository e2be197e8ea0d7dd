"""Calibration: the figures, what stays, and a temperature that is the optimum."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike

from limbeck.errors import DataError
from limbeck.teachers.labels.calibration import COLDEST, HOTTEST, batch, contextual, fit_temperature, temperature
from limbeck.teachers.labels.label_probs import LabelProbs


def rows(values: ArrayLike, kept: list[bool] | None = None) -> LabelProbs:
    probs_NC = np.asarray(values, dtype=np.float64)
    n = len(probs_NC)
    return LabelProbs(
        probs_NC, probs_NC.copy(), np.array(kept or [True] * n, dtype=np.bool_), (frozenset(),) * n, "local"
    )


def test_contextual_divides_by_the_answer_to_nothing() -> None:
    scored = contextual(rows([[0.5, 0.3, 0.2]]), rows([[0.6, 0.2, 0.2]]))
    np.testing.assert_allclose(scored.probs_NC, [[0.25, 0.45, 0.30]])
    np.testing.assert_allclose(scored.raw_NC, [[0.5, 0.3, 0.2]])
    assert scored.steps == ("contextual",)


def test_several_inputs_without_content_are_averaged_over_those_answered() -> None:
    free = rows([[0.7, 0.2, 0.1], [0.5, 0.2, 0.3], [1 / 3] * 3], [True, True, False])
    np.testing.assert_allclose(contextual(rows([[0.5, 0.3, 0.2]]), free).probs_NC, [[0.25, 0.45, 0.30]])


def test_batch_divides_by_the_mean_of_the_kept_rows() -> None:
    scored = batch(rows([[0.8, 0.2], [0.4, 0.6], [0.5, 0.5]], [True, True, False]))
    np.testing.assert_allclose(scored.probs_NC[0], np.array([0.8 / 0.6, 0.2 / 0.4]) / (0.8 / 0.6 + 0.2 / 0.4))
    np.testing.assert_allclose(scored.probs_NC[2], [0.5, 0.5])  # not kept: stays uniform
    assert scored.steps == ("batch",)


def test_a_temperature_is_a_power() -> None:
    scored = temperature(rows([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]]), 2.0)
    roots = np.sqrt([0.7, 0.2, 0.1])
    np.testing.assert_allclose(scored.probs_NC, [roots / roots.sum(), [1, 0, 0]])
    assert scored.steps == ("temperature 2",)
    np.testing.assert_allclose(temperature(scored, 0.5).probs_NC, scored.raw_NC, atol=1e-12)


def test_the_fitted_temperature_gives_back_the_one_that_made_the_labels() -> None:
    """Gold labels in the very shares of p^(1/2.5): cross-entropy is least where the model says these shares."""
    shares = np.array([0.6, 0.3, 0.1])
    said = shares**2.5 / (shares**2.5).sum()
    gold = np.repeat([0, 1, 2], [60, 30, 10])
    assert fit_temperature(rows(np.tile(said, (100, 1))), gold) == pytest.approx(2.5, rel=1e-4)


def test_the_fitted_temperature_is_no_worse_than_its_neighbours() -> None:
    rng = np.random.default_rng(0)
    scored = rows(rng.dirichlet([0.3] * 4, size=200))
    gold = np.array([rng.choice(4, p=p) if rng.random() < 0.6 else rng.integers(4) for p in scored.probs_NC])

    def loss(t: float) -> float:
        return float(-np.log(temperature(scored, t).probs_NC[np.arange(200), gold]).mean())

    best = fit_temperature(scored, gold)
    assert best > 1.1
    assert loss(best) <= min(loss(best * 1.01), loss(best / 1.01), loss(1.0))


def test_a_fit_is_bounded_and_reads_labelled_kept_rows_alone() -> None:
    sure = rows([[0.9, 0.1], [0.2, 0.8]])
    assert fit_temperature(sure, [0, 1]) == pytest.approx(COLDEST, rel=1e-3)
    assert fit_temperature(sure, [1, 0]) == pytest.approx(HOTTEST, rel=1e-3)
    mixed = rows([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.9, 0.1]], [True, True, False, True])
    assert fit_temperature(mixed, [0, 1, 1, -100]) == fit_temperature(sure, [0, 1])
    ruled_out = rows([[1.0, 0.0], [0.6, 0.4]])
    assert np.isfinite(fit_temperature(ruled_out, [1, 0]))


def test_steps_add_up_and_rows_stay_distributions() -> None:
    scored = temperature(contextual(rows([[0.5, 0.3, 0.2]]), rows([[0.6, 0.2, 0.2]])), 0.5)
    assert scored.steps == ("contextual", "temperature 0.5")
    np.testing.assert_allclose(scored.probs_NC.sum(axis=1), 1)


def test_calibration_that_cannot_be() -> None:
    scored = rows([[0.5, 0.5]])
    with pytest.raises(DataError, match="3 labels for rows with 2"):
        contextual(scored, rows([[0.6, 0.2, 0.2]]))
    with pytest.raises(DataError, match="but none could be read"):
        batch(rows([[0.5, 0.5]], [False]))
    with pytest.raises(DataError, match="no labelled row"):
        fit_temperature(scored, [-1])
    with pytest.raises(DataError, match="2 gold labels for 1 rows"):
        fit_temperature(scored, [0, 1])
    with pytest.raises(DataError, match="above 0, not 0"):
        temperature(scored, 0.0)
