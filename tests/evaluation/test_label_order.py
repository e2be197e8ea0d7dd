"""The order of a teacher's outputs, against all orders tried one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.evaluation.label_order import best_order

LABELS = ["a", "b", "c", "d"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_no_order_is_right_more_often(pairs: list[tuple[int, int]]) -> None:
    outputs, gold = np.array(pairs).T
    found = best_order(outputs, gold, LABELS)
    most = max(int((np.array(order)[outputs] == gold).sum()) for order in itertools.permutations(range(4)))
    assert found.right_in_best == most
    assert found.right == (outputs == gold).sum()
    place = np.array([LABELS.index(label) for label in found.order])
    assert sorted(found.order) == LABELS
    assert (place[outputs] == gold).sum() == most


def test_two_exchanged_labels_are_found() -> None:
    gold = np.repeat(np.arange(4), 10)
    found = best_order(np.array([0, 2, 1, 3])[gold], gold, LABELS)
    assert (found.order, found.is_wrong) == (["a", "c", "b", "d"], True)
    assert (found.right, found.right_in_best, found.rows) == (20, 40, 40)
    assert found.unseen == ["b", "c"]


def test_the_right_order_is_confirmed_and_labels_without_rows_are_not() -> None:
    gold = np.repeat(np.arange(3), 10)
    found = best_order(gold, gold, LABELS)
    assert (found.order, found.is_wrong, found.unseen) == (LABELS, False, ["d"])


def test_few_rows_prove_nothing() -> None:
    gold = np.array([0, 1, 2])
    assert not best_order(np.array([1, 0, 2]), gold, LABELS).is_wrong
    none = best_order(gold[:0], gold[:0], LABELS)
    assert (none.order, none.is_wrong, none.unseen) == (LABELS, False, LABELS)


@pytest.mark.parametrize("classes", [2, 5, 40])
def test_a_teacher_that_guesses_is_not_told_that_its_order_is_wrong(classes: int) -> None:
    """The best of all orders is always better than the given one; that alone says nothing. 1 % of errors at most."""
    rng = np.random.default_rng(0)
    labels = [str(c) for c in range(classes)]
    wrong = sum(
        best_order(rng.integers(0, classes, 100), rng.integers(0, classes, 100), labels).is_wrong for _ in range(200)
    )
    assert wrong <= 4, "more than 4 of 200 at 1 % has a probability of 5 %"


def test_a_weak_teacher_of_many_labels_with_two_exchanged_is_found() -> None:
    rng = np.random.default_rng(1)
    gold = rng.integers(0, 20, 600)
    outputs = np.where(rng.random(600) < 0.7, gold, rng.integers(0, 20, 600))
    assert not best_order(outputs, gold, list(map(str, range(20)))).is_wrong
    outputs = np.array([1, 0, *range(2, 20)])[outputs]
    found = best_order(outputs, gold, list(map(str, range(20))))
    assert found.is_wrong
    assert found.order[:3] == ["1", "0", "2"]
