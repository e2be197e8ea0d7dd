from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from limbeck.tasks.classification.ensemble.pool import DISAGREE, Answers, Pool, fit_pool

ROWS = 200


def member(gold_N: NDArray[np.int64], right: float, seed: int, sure: float = 0.8) -> NDArray[np.float64]:
    """Probabilities of three classes, `sure` for the most likely one, which is right that often."""
    rng = np.random.default_rng(seed)
    given = np.where(rng.random(len(gold_N)) < right, gold_N, (gold_N + 1) % 3)
    return np.where(np.eye(3)[given] == 1, sure, (1 - sure) / 2)


@pytest.fixture
def gold_N() -> NDArray[np.int64]:
    return np.random.default_rng(9).integers(0, 3, ROWS)


def test_the_better_member_counts_more_and_the_mean_is_more_often_right(gold_N: NDArray[np.int64]) -> None:
    members = [member(gold_N, 0.85, 0), member(gold_N, 0.7, 1), member(gold_N, 0.7, 2)]
    answers = Answers(np.stack(members), np.ones((3, ROWS), dtype=bool))
    pool = fit_pool(answers, gold_N, gold=True)
    assert pool.weights_M[0] == pool.weights_M.max()
    assert pool.weights_M.sum() == pytest.approx(1)
    right = [(one.argmax(axis=1) == gold_N).mean() for one in [*members, pool.probs(answers).probs_NC]]
    assert right[3] >= max(right[:3])


def test_the_mean_is_made_as_sure_as_it_is_right(gold_N: NDArray[np.int64]) -> None:
    answers = Answers(member(gold_N, 0.98, 0, sure=0.5)[None], np.ones((1, ROWS), dtype=bool))
    pool = fit_pool(answers, gold_N, gold=True)
    assert pool.temperature is not None
    assert pool.temperature < 1
    scored = pool.probs(answers)
    assert scored.probs_NC.max(axis=1).mean() == pytest.approx(0.98, abs=0.03)
    assert scored.raw_NC.max(axis=1).mean() == pytest.approx(0.5)
    assert scored.steps == (f"temperature {pool.temperature:.6g}",)


def test_a_field_is_not_judged_by_its_own_labels(gold_N: NDArray[np.int64]) -> None:
    said_N = member(gold_N, 0.6, 5).argmax(axis=1)
    members = [member(said_N, 0.9, 0), member(said_N, 0.5, 1), np.eye(3)[said_N]]
    pool = fit_pool(Answers(np.stack(members), np.ones((3, ROWS), dtype=bool), labeller=2), said_N, gold=False)
    assert pool.weights_M[2] == pytest.approx(1 / 3)
    assert pool.weights_M[0] > pool.weights_M[1]
    assert pool.weights_M.sum() == pytest.approx(1)
    assert pool.temperature is None


def test_with_gold_labels_a_field_is_a_member_like_others(gold_N: NDArray[np.int64]) -> None:
    members = [member(gold_N, 0.6, 0), member(gold_N, 0.95, 1, sure=1.0)]
    pool = fit_pool(Answers(np.stack(members), np.ones((2, ROWS), dtype=bool), labeller=1), gold_N, gold=True)
    assert pool.weights_M[1] > 0.7


def test_a_row_that_the_field_lacks_is_answered_by_the_others(gold_N: NDArray[np.int64]) -> None:
    members = [member(gold_N, 0.8, 0), np.full((ROWS, 3), 1 / 3)]
    answered = np.stack([np.ones(ROWS, dtype=bool), np.zeros(ROWS, dtype=bool)])
    answers = Answers(np.stack(members), answered, labeller=1)
    pool = fit_pool(answers, gold_N, gold=True)
    assert pool.weights_M[1] == pytest.approx(1 / 2), "it could not be judged"
    assert pool.probs(answers).raw_NC == pytest.approx(members[0])
    assert pool.probs(answers).kept_N.all()


def test_only_members_that_answered_can_disagree() -> None:
    probs = np.array([[[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]], [[0.8, 0.2], [0.2, 0.8], [0.2, 0.8]]])
    answered = np.array([[True, True, True], [True, True, False]])
    pool = fit_pool(Answers(probs, answered, labeller=1), np.array([0, 0, 0]), gold=True)
    assert [DISAGREE in flags for flags in pool.probs(Answers(probs, answered)).flags] == [False, True, False]


def test_a_label_without_a_confidence_is_as_sure_as_such_labels_are_right(gold_N: NDArray[np.int64]) -> None:
    said = member(gold_N, 0.75, 1, sure=1.0)
    certain = np.arange(ROWS) % 2 == 0
    said[~certain] = [0.2, 0.3, 0.5]
    answers = Answers(
        np.stack([member(gold_N, 0.9, 0), said]), np.ones((2, ROWS), dtype=bool), labeller=1, certain_N=certain
    )
    right = (said[certain].argmax(axis=1) == gold_N[certain]).mean()
    pool = fit_pool(answers, gold_N, gold=True)
    assert pool.confidence == pytest.approx(right, abs=0.02)
    sure = answers.with_confidence(pool.confidence).probs_MNC
    assert sure[1, certain].max(axis=1) == pytest.approx(pool.confidence)
    assert sure[1].sum(axis=1) == pytest.approx(1)
    assert (sure[1, ~certain] == said[~certain]).all()
    assert (sure[0] == answers.probs_MNC[0]).all()


def test_without_gold_labels_it_is_as_sure_as_the_others_agree(gold_N: NDArray[np.int64]) -> None:
    said_N = member(gold_N, 0.8, 5).argmax(axis=1)
    answers = Answers(
        np.stack([member(gold_N, 1.0, 0, sure=0.9), np.eye(3)[said_N]]),
        np.ones((2, ROWS), dtype=bool),
        labeller=1,
        certain_N=np.ones(ROWS, dtype=bool),
    )
    pool = fit_pool(answers, said_N, gold=False)
    assert pool.confidence == pytest.approx((said_N == gold_N).mean(), abs=0.01)
    assert (pool.probs(answers).probs_NC.argmax(axis=1) == gold_N).all(), "certain, it would overrule the other"


def test_agreement_is_the_weight_of_the_members_that_give_the_label() -> None:
    probs = np.array([[[0.9, 0.1]] * 3, [[0.2, 0.8], [0.7, 0.3], [0.5, 0.5]]])
    answered = np.array([[True] * 3, [True, True, False]])
    pool = Pool(np.array([0.75, 0.25]), None, 3)
    found = pool.agreement(Answers(probs, answered, labeller=1), np.array([0, 0, 0]))
    assert found == pytest.approx([0.75, 1.0, 1.0])
    assert pool.agreement(Answers(probs, answered), np.array([1, 1, 1])) == pytest.approx([0.25, 0.0, 0.0])
