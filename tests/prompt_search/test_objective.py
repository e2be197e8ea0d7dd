"""The figure that prompts are chosen by, and the guard against choosing by noise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from limbeck.prompt_search.objective import Score, beats, score_prompt
from limbeck.teachers.labels.label_probs import LabelProbs


def score(objective: float, standard_error: float = 0.05, *, rows: int = 40, tokens: float = 100.0) -> Score:
    return Score(objective, standard_error, objective, 0.0, 0.0, tokens, rows)


def answers(probs_NC: np.ndarray, kept: list[bool]) -> LabelProbs:
    return LabelProbs(probs_NC, probs_NC, np.array(kept), (frozenset(),) * len(kept), "samples")


def test_a_lead_within_a_standard_error_is_noise_on_few_rows() -> None:
    assert not beats(score(0.74), score(0.70))
    assert beats(score(0.76), score(0.70))
    assert not beats(score(0.76, 0.01), score(0.70, 0.08)), "the default's noise counts too"
    assert beats(score(0.71, rows=50), score(0.70, rows=50))
    assert not beats(score(0.70, rows=50), score(0.70, rows=50))


def test_the_figure_is_made_of_its_four_parts() -> None:
    probs_NC = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    gold_N = np.array([0, 1, 1, 0])
    got = score_prompt(answers(probs_NC, [True, True, True, False]), gold_N, np.array([100, 200, 300, 400]))
    f1 = f1_score(gold_N, [0, 0, 1, 2], labels=[0, 1], average="macro")
    # Bins of a fifteenth: two rows at .9, one of them right; one at .8, right. The unreadable row has no confidence.
    error = 2 / 3 * abs(0.5 - 0.9) + 1 / 3 * abs(1 - 0.8)
    assert got.macro_f1 == pytest.approx(f1)
    assert got.calibration_error == pytest.approx(error)
    assert (got.unreadable, got.prompt_tokens, got.rows) == (0.25, 250.0, 4)
    assert got.objective == pytest.approx(f1 - 0.5 * error - 0.1 * 0.25 - 0.05 * 0.25)


def test_the_standard_error_is_that_of_the_mean_where_the_figure_is_a_mean() -> None:
    """Tokens alone vary: J is minus a mean, whose standard error is known."""
    rng = np.random.default_rng(0)
    tokens_N = rng.integers(0, 40_000, 200)
    sure = np.tile([1.0, 0.0], (200, 1))
    got = score_prompt(answers(sure, [True] * 200), np.zeros(200, dtype=np.int64), tokens_N)
    assert got.standard_error == pytest.approx(0.05 / 1000 * tokens_N.std() / np.sqrt(200), rel=0.15)
    assert got.objective == pytest.approx(1 - 0.05 * tokens_N.mean() / 1000)


def test_nothing_readable_is_the_worst() -> None:
    half = np.full((3, 2), 0.5)
    got = score_prompt(answers(half, [False] * 3), np.array([0, 1, 1]), np.zeros(3, dtype=np.int64))
    assert (got.macro_f1, got.calibration_error, got.unreadable) == (0.0, 1.0, 1.0)
