"""A row's number tells which of its readings it is."""

from __future__ import annotations

from collections import Counter

import numpy as np

from limbeck.sequences.fixed import FixedSequences
from limbeck.sequences.passes import NumberedPasses

ROWS = 7


def plan(steps: int = 9, rows: int = ROWS) -> NumberedPasses:
    lengths = np.arange(3, 3 + ROWS)
    return NumberedPasses(FixedSequences(np.arange(rows), lengths, batch_size=4, steps=steps, seed=1))


def test_every_reading_has_its_own_number_and_passes_count_up() -> None:
    numbers = np.concatenate(list(plan().batches()))
    assert len(set(numbers.tolist())) == len(numbers) == 36
    seen: Counter[int] = Counter()
    for number in numbers.tolist():
        turn, row = divmod(number, ROWS)
        assert turn == seen[row]
        seen[row] += 1
    assert set(seen.values()) == {5, 6}


def test_rows_are_those_of_the_plan() -> None:
    passes = plan()
    for numbers, rows in zip(passes.batches(), passes.plan.batches(), strict=True):
        assert (numbers % ROWS).tolist() == rows.tolist()
        assert passes.lengths[numbers].tolist() == passes.plan.lengths[rows].tolist()


def test_a_row_twice_in_a_step_is_two_readings() -> None:
    twice = [numbers for numbers in plan(rows=3).batches() if len(set((numbers % ROWS).tolist())) < 4]
    assert twice
    assert all(len(set(numbers.tolist())) == 4 for numbers in twice)


def test_splits_and_ranks_read_the_same() -> None:
    whole = [sorted(step.tolist()) for step in plan().batches()]
    by_rank = [list(plan().micro_batches(4, rank=rank, ranks=2)) for rank in range(2)]
    joined = [np.concatenate([*by_rank[0][i : i + 2], *by_rank[1][i : i + 2]]) for i in range(0, 18, 2)]
    assert [sorted(step.tolist()) for step in joined] == whole
