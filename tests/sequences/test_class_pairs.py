"""Pairs of rows: each class and each row as often as the others, the same plan for every split and after a restart."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from limbeck.sequences.class_pairs import ClassPairSequences


def plan(
    counts: list[int], batch_size: int = 8, steps: int = 30, seed: int = 0, *, negatives: bool = True
) -> ClassPairSequences:
    """A plan for classes of these sizes; every second row has no label, and is not drawn from."""
    of_rows = np.repeat(np.arange(len(counts)), counts)
    labels = np.stack([of_rows, np.full(len(of_rows), -1)], axis=1).ravel()
    rows = np.flatnonzero(labels >= 0)
    return ClassPairSequences(rows, labels, np.full(len(labels), 5), batch_size, steps, seed, negatives)


def pairs_of(sequences: ClassPairSequences) -> NDArray[np.int64]:
    """Labels of all pairs, ``[P, 2]``."""
    return sequences.labels[np.concatenate(list(sequences.batches()))].reshape(-1, 2)


plans = st.builds(
    plan,
    counts=st.lists(st.integers(1, 9), min_size=2, max_size=6),
    batch_size=st.sampled_from([2, 4, 6, 16]),
    steps=st.integers(1, 30),
    seed=st.integers(0, 99),
)


@given(plans)
def test_every_second_pair_is_of_one_class_and_the_others_never_are(sequences: ClassPairSequences) -> None:
    labels_P2 = pairs_of(sequences)
    same_P = labels_P2[:, 0] == labels_P2[:, 1]
    assert same_P[::2].all()
    assert not same_P[1::2].any()
    assert labels_P2.min() >= 0


@given(plans)
def test_classes_take_turns(sequences: ClassPairSequences) -> None:
    labels_P2 = pairs_of(sequences)
    first = np.bincount(labels_P2[:, 0], minlength=len(np.unique(sequences.labels)) - 1)
    assert first.max() - first.min() <= 1


def test_other_classes_of_negative_pairs_are_as_frequent_as_each_other() -> None:
    second = np.bincount(pairs_of(plan([2, 9, 4, 1], batch_size=32, steps=30))[1::2, 1])
    assert second.max() - second.min() <= 4


@given(plans)
def test_rows_of_a_class_take_turns(sequences: ClassPairSequences) -> None:
    rows = np.concatenate(list(sequences.batches()))
    for label in np.unique(sequences.labels[rows]):
        seen = [int((rows == row).sum()) for row in np.flatnonzero(sequences.labels == label)]
        assert max(seen) - min(seen) <= 1


def test_without_negatives_all_pairs_are_of_one_class_and_a_step_has_all_classes() -> None:
    labels_P2 = pairs_of(plan([5, 3, 9, 2], batch_size=8, negatives=False))
    assert (labels_P2[:, 0] == labels_P2[:, 1]).all()
    assert (np.sort(labels_P2[:, 0].reshape(-1, 4), axis=1) == np.arange(4)).all()


def test_the_two_rows_of_a_pair_differ_where_the_class_has_two() -> None:
    rows_P2 = np.concatenate(list(plan([2, 4, 1], negatives=False).batches())).reshape(-1, 2)
    same_P = rows_P2[:, 0] == rows_P2[:, 1]
    assert not same_P[rows_P2[:, 0] < 4].any()
    assert same_P[rows_P2[:, 0] == 12].all()


def test_one_class_alone_has_pairs_of_its_own() -> None:
    assert (pairs_of(plan([6], steps=3)) == 0).all()


@pytest.mark.parametrize("per_step", [1, 2, 4])
def test_no_split_separates_a_pair_or_changes_a_step(per_step: int) -> None:
    sequences = plan([5, 3, 9])
    whole = list(sequences.batches())
    parts = list(sequences.micro_batches(per_step))
    assert np.array_equal(np.concatenate(parts), np.concatenate(whole))
    assert {len(part) for part in parts} == {8 // per_step}
    first, second = (list(sequences.micro_batches(4, rank=rank, ranks=2)) for rank in range(2))
    assert np.array_equal(np.concatenate([*first[:2], *second[:2]])[[0, 1, 4, 5, 2, 3, 6, 7]], whole[0])


def test_the_plan_is_the_same_again_and_another_with_another_seed() -> None:
    """A resumed stage skips the steps that it did."""
    again = list(islice(plan([5, 3, 9]).batches(), 10, None))
    for batch, expected in zip(again, list(plan([5, 3, 9]).batches())[10:], strict=True):
        assert np.array_equal(batch, expected)
    assert not np.array_equal(next(plan([5, 3, 9], seed=1).batches()), next(plan([5, 3, 9]).batches()))


def test_a_step_has_its_number_of_rows_even_an_odd_one() -> None:
    assert {len(batch) for batch in plan([5, 3], batch_size=7, negatives=False).batches()} == {7}
