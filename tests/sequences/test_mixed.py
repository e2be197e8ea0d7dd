"""Two plans under one coin: every step is the next batch of one of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from limbeck.sequences.fixed import FixedSequences
from limbeck.sequences.mixed import MixedSequences

LENGTHS = np.random.default_rng(0).integers(3, 60, 40)


def mixed(seed: int = 0, steps: int = 60) -> MixedSequences:
    """Rows 0 to 19 or rows 20 to 39, as parallel and same-language pairs are."""
    first = FixedSequences(np.arange(20), LENGTHS, batch_size=4, steps=steps, seed=3)
    return MixedSequences(first, replace(first, rows=np.arange(20, 40)), seed)


def batches(plan: MixedSequences | FixedSequences) -> list[list[int]]:
    return [batch.tolist() for batch in plan.batches()]


def test_batch_size_steps_and_lengths_are_those_of_the_plans() -> None:
    plan = mixed()
    assert (plan.batch_size, plan.steps) == (4, 60)
    assert plan.lengths is LENGTHS
    assert [len(batch) for batch in batches(plan)] == [4] * 60


def test_each_step_is_the_next_batch_of_one_plan() -> None:
    plan = mixed()
    found = batches(plan)
    of_first = [batch for batch in found if max(batch) < 20]
    of_second = [batch for batch in found if min(batch) >= 20]
    assert len(of_first) + len(of_second) == 60
    assert of_first == batches(plan.first)[: len(of_first)]
    assert of_second == batches(plan.second)[: len(of_second)]


def test_the_coin_is_fair_and_a_function_of_the_seed() -> None:
    shares = [np.mean([batch[0] < 20 for batch in mixed(seed, steps=200).batches()]) for seed in range(20)]
    assert 0.3 < min(shares) < max(shares) < 0.7
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
    assert batches(mixed(1)) == batches(mixed(1))
    assert [batch[0] < 20 for batch in batches(mixed(1))] != [batch[0] < 20 for batch in batches(mixed(2))]


def test_a_longer_plan_begins_with_the_same_coins() -> None:
    """The coin does not depend on what is left, so neither plan shows through in the other."""
    short, long = ([batch[0] < 20 for batch in batches(mixed(5, steps))] for steps in (20, 60))
    assert long[:20] == short


@pytest.mark.parametrize(("per_step", "ranks"), [(1, 1), (2, 1), (4, 1), (2, 2), (4, 2)])
def test_micro_batches_of_all_ranks_are_the_rows_of_each_step(per_step: int, ranks: int) -> None:
    plan = mixed(7, steps=30)
    parts = [list(plan.micro_batches(per_step, rank=rank, ranks=ranks)) for rank in range(ranks)]
    mine = per_step // ranks
    assert all(len(of_rank) == 30 * mine for of_rank in parts)
    for step, expected in enumerate(batches(plan)):
        rows = [row for of_rank in parts for part in of_rank[step * mine : (step + 1) * mine] for row in part.tolist()]
        assert sorted(rows) == sorted(expected)
