"""The batch plan: full, balanced, the same for every split, and with little padding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from limbeck.sequences.fixed import FixedSequences


def plan_of(rows: int, batch_size: int, steps: int, seed: int = 0) -> FixedSequences:
    lengths = np.random.default_rng(7).integers(3, 100, rows)
    return FixedSequences(np.arange(rows), lengths, batch_size, steps, seed)


def step_rows(plan: FixedSequences, per_step: int, ranks: int = 1) -> list[list[list[int]]]:
    """Micro-batches by step: those of rank 0, rank 1, ..., in turn."""
    by_rank = [list(plan.micro_batches(per_step, rank=rank, ranks=ranks)) for rank in range(ranks)]
    share = per_step // ranks
    return [
        [batch.tolist() for of_rank in by_rank for batch in of_rank[share * step : share * (step + 1)]]
        for step in range(plan.steps)
    ]


plans = st.builds(
    plan_of, rows=st.integers(1, 60), batch_size=st.integers(1, 12), steps=st.integers(1, 20), seed=st.integers(0, 99)
)


@given(plans)
def test_every_step_is_full_and_every_row_is_seen_equally_often_give_or_take_one(plan: FixedSequences) -> None:
    batches = list(plan.batches())
    assert len(batches) == plan.steps
    assert all(len(batch) == plan.batch_size for batch in batches)
    seen = np.bincount(np.concatenate(batches), minlength=len(plan.rows))
    expected = plan.steps * plan.batch_size / len(plan.rows)
    assert seen.min() >= np.floor(expected)
    assert seen.max() <= np.ceil(expected)


@given(plans)
def test_a_step_holds_no_row_twice_where_there_are_enough_rows_and_epochs_do_not_meet(plan: FixedSequences) -> None:
    if len(plan.rows) % plan.batch_size == 0:
        assert all(len(set(batch.tolist())) == plan.batch_size for batch in plan.batches())


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("per_step", [2, 4, 8])
def test_the_rows_of_a_step_do_not_depend_on_how_it_is_split(per_step: int, ranks: int) -> None:
    plan = plan_of(rows=50, batch_size=8, steps=12)
    whole = [sorted(batch.tolist()) for batch in plan.batches()]
    for step, micro_batches in enumerate(step_rows(plan, per_step, ranks)):
        assert len(micro_batches) == per_step
        assert {len(batch) for batch in micro_batches} == {8 // per_step}
        assert sorted(row for batch in micro_batches for row in batch) == whole[step]


def test_the_micro_batches_of_all_ranks_are_a_partition() -> None:
    plan = plan_of(rows=48, batch_size=12, steps=4)
    (epoch,) = [[row for batches in step_rows(plan, 6, ranks=3) for batch in batches for row in batch]]
    assert sorted(epoch) == list(range(48))


def test_every_rank_has_its_share_of_every_step() -> None:
    plan = plan_of(rows=48, batch_size=12, steps=5)
    assert [len(list(plan.micro_batches(6, rank=rank, ranks=3))) for rank in range(3)] == [10, 10, 10]


def test_the_plan_is_a_function_of_the_seed() -> None:
    first, again, other = (list(plan_of(40, 8, 15, seed).batches()) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_epoch_has_a_new_order() -> None:
    batches = list(plan_of(rows=40, batch_size=8, steps=10).batches())
    assert not np.array_equal(batches[:5], batches[5:])


def test_rows_of_equal_length_meet_others_in_every_epoch() -> None:
    plan = FixedSequences(np.arange(40), np.full(40, 9), batch_size=8, steps=10, seed=0)
    batches = [frozenset(batch.tolist()) for batch in plan.batches()]
    assert len(set(batches)) == 10


def test_a_longer_run_starts_like_a_shorter_one_of_whole_epochs() -> None:
    short, long = (list(plan_of(40, 8, steps).batches()) for steps in (5, 10))
    assert np.array_equal(short, long[:5])


def test_only_the_given_rows_are_drawn() -> None:
    lengths = np.arange(1, 101)
    rows = np.array([5, 17, 40, 99])
    batches = list(FixedSequences(rows, lengths, batch_size=3, steps=8, seed=0).batches())
    assert np.bincount(np.concatenate(batches), minlength=100)[rows].tolist() == [6, 6, 6, 6]


def padding(batches: list[NDArray[np.int64]], lengths: NDArray[np.int64]) -> int:
    return sum(int(lengths[batch].max() * len(batch) - lengths[batch].sum()) for batch in batches)


def test_less_padding_than_in_random_order() -> None:
    plan = plan_of(rows=400, batch_size=8, steps=50)
    order = np.random.default_rng(0).permutation(400).reshape(50, 8)
    assert padding(list(plan.batches()), plan.lengths) < 0.2 * padding(list(order), plan.lengths)


def test_batches_do_not_come_sorted_by_length() -> None:
    plan = plan_of(rows=400, batch_size=8, steps=50)
    means = [plan.lengths[batch].mean() for batch in plan.batches()]
    assert abs(np.corrcoef(means, np.arange(50))[0, 1]) < 0.5


@pytest.mark.parametrize(("per_step", "ranks"), [(3, 2), (5, 1), (16, 1)])
def test_a_split_that_does_not_divide_is_our_own_fault(per_step: int, ranks: int) -> None:
    with pytest.raises(AssertionError):
        list(plan_of(40, 8, 1).micro_batches(per_step, ranks=ranks))
