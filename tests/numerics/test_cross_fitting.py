from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from limbeck.numerics.cross_fitting import (
    answered_rows,
    cross_fitted,
    learned_rows,
    smallest_class,
    stratified_folds,
    taking_part,
)

rows = st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 12)), min_size=1, max_size=60)
"""Class and key of each row: with few keys, many rows are copies of others."""


def split(drawn: list[tuple[int, int]]) -> tuple[NDArray[np.int64], list[int]]:
    return np.array([label for label, _ in drawn], dtype=np.int64), [key for _, key in drawn]


@given(rows, st.integers(2, 5), st.integers(0, 3))
def test_no_row_is_answered_by_a_model_that_learned_it_or_a_copy(
    drawn: list[tuple[int, int]], folds: int, seed: int
) -> None:
    class_N, keys = split(drawn)
    fold_N = stratified_folds(class_N, keys, folds, seed=seed)
    answered = []
    for fold in range(folds):
        learned = {keys[row] for row in learned_rows(class_N, fold_N, fold)}
        own = answered_rows(fold_N, fold).tolist()
        answered += own
        assert learned.isdisjoint(keys[row] for row in own if fold_N[row] >= 0)
        assert all(keys[row] not in learned for row in own)
    assert set(answered) == set(range(len(keys)))


@given(rows, st.integers(2, 5))
def test_a_cross_fitted_answer_comes_from_models_that_did_not_learn_the_row(
    drawn: list[tuple[int, int]], folds: int
) -> None:
    """Models that give 1 to what they learned, and 0 to everything else, look as if they knew nothing."""
    class_N, keys = split(drawn)
    fold_N = stratified_folds(class_N, keys, folds)
    answers = []
    for fold in range(folds):
        learned = {keys[row] for row in learned_rows(class_N, fold_N, fold)}
        knows = [float(keys[row] in learned) for row in answered_rows(fold_N, fold)]
        answers.append(np.array(knows, dtype=np.float32)[:, None])
    assert not cross_fitted(answers, fold_N).any()


@given(rows, st.integers(2, 5))
def test_every_model_learns_all_folds_but_its_own(drawn: list[tuple[int, int]], folds: int) -> None:
    class_N, keys = split(drawn)
    fold_N = stratified_folds(class_N, keys, folds)
    for fold in range(folds):
        expected = [row for row in range(len(keys)) if class_N[row] >= 0 and fold_N[row] != fold]
        assert learned_rows(class_N, fold_N, fold).tolist() == expected


def test_folds_have_the_same_share_of_every_class() -> None:
    class_N = np.array([0] * 30 + [1] * 10 + [2] * 7 + [-1] * 20)
    fold_N = stratified_folds(class_N, range(67), 3)
    counts = np.array([np.bincount(class_N[(fold_N == fold) & (class_N >= 0)], minlength=3) for fold in range(3)])
    assert counts.sum(axis=0).tolist() == [30, 10, 7]
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()
    assert np.ptp(counts.sum(axis=1)) <= 1
    assert (fold_N[class_N < 0] == -1).all()


def test_folds_follow_from_the_seed() -> None:
    class_N, keys = np.repeat([0, 1], 20), list(range(40))
    first, again = (stratified_folds(class_N, keys, 3, seed=1).tolist() for _ in range(2))
    assert first == again
    assert first != stratified_folds(class_N, keys, 3, seed=2).tolist()
    assert first != (np.arange(40) % 3).tolist()


def test_copies_of_a_learned_row_are_in_its_fold_whether_labelled_or_not() -> None:
    fold_N = stratified_folds(np.array([0, -1, 1, 0, -1]), ["a", "a", "b", "c", "d"], 2)
    assert fold_N[0] == fold_N[1] >= 0
    assert fold_N[4] == -1


def test_a_row_of_no_fold_gets_the_mean_and_another_its_own_models_answer() -> None:
    fold_N = np.array([1, -1, 0])
    of_first = np.array([[0.2, 0.8], [1.0, 0.0]], dtype=np.float32)  # rows 1 and 2
    of_second = np.array([[0.5, 0.5], [0.6, 0.4]], dtype=np.float32)  # rows 0 and 1
    found = cross_fitted([of_first, of_second], fold_N)
    assert found == pytest.approx(np.array([[0.5, 0.5], [0.4, 0.6], [1.0, 0.0]]))


def test_the_smallest_class_is_counted_in_different_inputs() -> None:
    assert smallest_class(np.array([0, 0, 0, 2, 2, -1]), ["a", "b", "c", "d", "d", "e"]) == (2, 1)


def test_rows_take_part_as_often_as_they_are_agreed_on() -> None:
    agreement_N = np.concatenate([np.ones(1000), np.full(1000, 0.3), np.zeros(1000)])
    rows = np.arange(0, 3000, 2)
    found = taking_part(rows, agreement_N, seed=0)
    assert set(found) <= set(rows)
    assert (found < 1000).sum() == 500
    assert 110 < ((found >= 1000) & (found < 2000)).sum() < 190
    assert found.max() < 2000
    assert (found == taking_part(rows, agreement_N, seed=0)).all()
    assert taking_part(rows, agreement_N, seed=[1, 2]).tolist() != found.tolist()
    assert taking_part(rows, np.zeros(3000), seed=0).tolist() == rows.tolist(), "with no row nothing can be trained"
