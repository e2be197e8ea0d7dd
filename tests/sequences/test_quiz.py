"""Quiz rows: of every class, never learned, not even as a copy; the same after a restart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.errors import DataError
from limbeck.sequences.quiz import Quiz, set_aside


@given(
    labels=st.lists(st.integers(-1, 3), min_size=20, max_size=80),
    texts=st.integers(5, 60),
    fraction=st.sampled_from([0.1, 0.2, 0.5]),
    seed=st.integers(0, 3),
)
def test_no_text_of_the_quiz_is_learned(labels: list[int], texts: int, fraction: float, seed: int) -> None:
    label_N, keys = np.array(labels), np.random.default_rng(seed).integers(0, texts, len(labels)).tolist()
    try:
        quiz, learned = set_aside(label_N, keys, fraction, seed)
    except DataError:
        assert len({key for key, label in zip(keys, labels, strict=True) if label >= 0}) < round(1 / fraction)
        return
    assert len(quiz)
    assert (label_N[quiz] >= 0).all()
    assert not {keys[row] for row in quiz} & {keys[row] for row in learned}
    left_out = set(range(len(labels))) - {*quiz.tolist(), *learned.tolist()}
    assert all(label_N[row] < 0 and keys[row] in {keys[i] for i in quiz} for row in left_out)


def test_every_class_has_its_share_and_the_seed_draws() -> None:
    label_N = np.repeat([0, 1, 2, -1], [100, 60, 40, 50])
    quiz, learned = set_aside(label_N, range(250), 0.1, seed=0)
    assert np.bincount(label_N[quiz]).tolist() == [10, 6, 4]
    assert len(learned) == 230
    assert np.array_equal(quiz, set_aside(label_N, range(250), 0.1, seed=0)[0])
    assert not np.array_equal(quiz, set_aside(label_N, range(250), 0.1, seed=1)[0])


def test_too_few_labels() -> None:
    with pytest.raises(DataError, match=r"one in 10 labelled training texts .* there are 9: label more rows"):
        set_aside(np.array([0] * 12 + [-1] * 40), [*range(9), 0, 1, 2, *range(40)], 0.1, seed=0)


def a_quiz(**changes: int) -> Quiz:
    fields = {"batch_size": 4, "batches": 2, "steps": 6, "seed": 0} | changes
    return Quiz(np.arange(10, 21), np.arange(40) % 7, **fields)


def test_batches_are_drawn_in_turn_and_again_after_a_restart() -> None:
    drawn = list(a_quiz().drawn())
    assert [len(step) for step in drawn] == [2] * 6
    counts = np.bincount(np.concatenate([rows for step in drawn for rows in step]))[10:]
    assert counts.sum() == 48
    assert counts.max() - counts.min() <= 1
    for first in (1, 4):
        for step, expected in zip(a_quiz().drawn(first), drawn[first:], strict=True):
            assert all(np.array_equal(rows, other) for rows, other in zip(step, expected, strict=True))


def test_all_rows_at_each_step_and_a_quiz_smaller_than_a_batch() -> None:
    drawn = list(a_quiz(batches=0).drawn(2))
    assert len(drawn) == 4
    for step in drawn:
        assert [len(rows) for rows in step] == [4, 4, 3]
        assert sorted(np.concatenate(step).tolist()) == list(range(10, 21))
    assert {len(rows) for step in a_quiz(batch_size=50).drawn() for rows in step} == {11}
