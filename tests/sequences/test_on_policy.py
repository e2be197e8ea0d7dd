"""When the student writes, for whom, and with which seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from limbeck.errors import ConfigError
from limbeck.models.generate import Decoding
from limbeck.sequences.on_policy import OnPolicy, OnPolicyWriter, coin
from limbeck.types import UNLABELLED, Batch, CompletionSource

DECODING = Decoding(max_new_tokens=3, temperature=0.7)


class Student:
    """Writes its seed, and keeps a list of its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[int], Decoding, int]] = []

    def write_rows(self, rows: NDArray[np.int64], decoding: Decoding, seed: int) -> Batch:
        self.calls.append((rows.tolist(), decoding, seed))
        return batch_of(rows.tolist(), label=seed % 1000, source=CompletionSource.STUDENT)


def batch_of(rows: list[int], label: int = 1, source: CompletionSource = CompletionSource.DATA) -> Batch:
    return {
        "student": {"input_ids": torch.tensor([[row] for row in rows])},
        "labels_BT": torch.full((len(rows), 1), label),
        "rows_B": torch.tensor(rows),
        "source_B": torch.full((len(rows),), int(source)),
    }


def two_batches() -> list[Batch]:
    return [batch_of([4, 2]), batch_of([0, 5])]


def make(choice: OnPolicy, *, seed: int = 3, rank: int = 0, ranks: int = 1) -> tuple[OnPolicyWriter, Student]:
    student = Student()
    return OnPolicyWriter(choice, student.write_rows, seed=seed, rank=rank, ranks=ranks), student


def test_with_share_0_the_student_is_never_asked() -> None:
    writer, student = make(OnPolicy(0.0))
    batches = two_batches()
    assert all(writer.write(step, batches) is batches for step in range(200))
    assert student.calls == []


def test_with_share_1_each_step_is_the_students_and_the_rows_completions_are_not_read() -> None:
    writer, student = make(OnPolicy(1.0, decoding=DECODING))
    other, _ = make(OnPolicy(1.0, decoding=DECODING))
    for step in range(20):
        written = writer.write(step, two_batches())
        garbage = two_batches()
        for batch in garbage:
            batch["labels_BT"] = torch.full_like(batch["labels_BT"], UNLABELLED)
            batch["student"] = {"input_ids": torch.tensor([[99], [99]])}
        for one, two in zip(written, other.write(step, garbage), strict=True):
            assert torch.equal(one["labels_BT"], two["labels_BT"])
            assert torch.equal(one["student"]["input_ids"], two["student"]["input_ids"])
            assert (one["source_B"] == CompletionSource.STUDENT).all()
    assert [rows for rows, _, _ in student.calls] == [[4, 2], [0, 5]] * 20
    assert {decoding for _, decoding, _ in student.calls} == {DECODING}
    seeds = [seed for _, _, seed in student.calls]
    assert len(set(seeds)) == 40


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_share_of_the_steps_is_the_students(share: float) -> None:
    writer, student = make(OnPolicy(share))
    for step in range(2000):
        writer.write(step, [batch_of([1])])
    assert len(student.calls) / 2000 == pytest.approx(share, abs=4 * (share * (1 - share) / 2000) ** 0.5)


def test_the_coin_depends_on_seed_and_step_alone() -> None:
    """So it falls alike on all ranks, whatever was written before, and after a restart."""
    coins = [coin(1, step) for step in range(1000)]
    assert coins == [coin(1, step) for step in range(1000)]
    assert coins != [coin(2, step) for step in range(1000)]
    assert 0 <= min(coins) <= max(coins) < 1
    assert float(np.mean(coins)) == pytest.approx(0.5, abs=0.04)
    pieces = [make(OnPolicy(0.5), rank=rank, ranks=3) for rank in range(3)]
    patterns = [[writer.write(step, batches) is batches for step in range(50) if (batches := two_batches())]
                for writer, _ in pieces]  # fmt: skip
    assert patterns[0] == patterns[1] == patterns[2]
    assert set(patterns[0]) == {True, False}
    late, _ = make(OnPolicy(0.5))
    late.restore(pieces[0][0].state())
    batches = two_batches()
    assert [late.write(step, batches) is batches for step in range(25, 50)] == patterns[0][25:]


def test_what_follows_the_coin_is_independent_of_it() -> None:
    """To numpy the seeds ``(s, t)`` and ``(s, t, 0, 0)`` are one; a step's first micro-batch draws with the second."""
    coins = [coin(1, step) for step in range(500)]
    drawn = np.asarray([np.random.default_rng((1, step, 0, 0)).integers(1000, size=4) for step in range(500)])
    correlations = [abs(float(np.corrcoef(coins, column)[0, 1])) for column in drawn.T]
    assert max(correlations) < 4 / 500**0.5


def test_ranks_and_micro_batches_draw_different_samples() -> None:
    seeds = []
    for rank in range(2):
        writer, student = make(OnPolicy(1.0), rank=rank, ranks=2)
        for step in range(4):
            writer.write(step, two_batches())
        seeds += [seed for _, _, seed in student.calls]
    assert len(set(seeds)) == len(seeds) == 16


def test_beside_keeps_the_rows_as_they_are_too() -> None:
    writer, _ = make(OnPolicy(1.0, beside=True))
    written = writer.write(0, two_batches())
    assert [batch["rows_B"].tolist() for batch in written] == [[4, 2, 4, 2], [0, 5, 0, 5]]
    for batch in written:
        assert batch["source_B"].tolist() == [0, 0, 2, 2]
        assert batch["labels_BT"][:2].tolist() == [[1], [1]]


class Rewarded:
    """Writes texts of the rows' numbers; a text's reward is the square of its row, and one token does not count."""

    def write_rows(self, rows: NDArray[np.int64], decoding: Decoding, seed: int) -> Batch:
        batch = batch_of(rows.tolist(), source=CompletionSource.STUDENT)
        batch["labels_BT"] = torch.tensor([[UNLABELLED, row, 1] for row in rows.tolist()])
        batch["rewards_B"] = torch.tensor([float(row) ** 2 for row in rows], dtype=torch.float64)
        return batch


REWARDED = OnPolicy(1.0, reward="my.module:reward")


def returns_of(batches: list[Batch]) -> dict[int, list[float]]:
    """Each row's returns; rewards are not handed on."""
    assert all("rewards_B" not in batch for batch in batches)
    return {
        int(row): returns.tolist()
        for batch in batches
        for row, returns in zip(batch["rows_B"], batch["returns_BT"], strict=True)
    }


@pytest.mark.parametrize("split", [[4], [2, 2], [3, 1], [1, 1, 1, 1]], ids=str)
def test_returns_are_by_the_other_texts_of_the_whole_step(split: list[int]) -> None:
    """Rewards 16, 4, 0, 25: each less the mean of the three others, in every split into micro-batches."""
    writer = OnPolicyWriter(REWARDED, Rewarded().write_rows, seed=0)
    rows = iter([4, 2, 0, 5])
    written = writer.write(0, [batch_of([next(rows) for _ in range(size)]) for size in split])
    expected = {4: 16 - 29 / 3, 2: 4 - 41 / 3, 0: 0 - 45 / 3, 5: 25 - 20 / 3}
    found = returns_of(written)
    assert found.keys() == expected.keys()
    for row, value in expected.items():
        assert found[row] == pytest.approx([0.0, value, value])


def test_returns_are_by_the_texts_of_all_ranks() -> None:
    """Two ranks with two texts each: sums and counts are added up over them."""
    sums: list[list[float]] = []
    halves = ([batch_of([4]), batch_of([2])], [batch_of([0, 5])])

    def keep(values: Sequence[float]) -> list[float]:
        sums.append(list(values))
        return sums[-1]

    for rank, half in enumerate(halves):
        writer = OnPolicyWriter(REWARDED, Rewarded().write_rows, seed=0, rank=rank, ranks=2, add_up=keep)
        writer.write(0, half)
    assert sums == [[20.0, 2.0], [25.0, 2.0]]
    found = {}
    for rank, half in enumerate(halves):
        writer = OnPolicyWriter(
            REWARDED, Rewarded().write_rows, seed=0, rank=rank, ranks=2, add_up=lambda x: [45.0, 4.0]
        )
        found |= returns_of(writer.write(0, half))
    (whole,) = OnPolicyWriter(REWARDED, Rewarded().write_rows, seed=0).write(0, [batch_of([4, 2, 0, 5])])
    assert found == returns_of([whole])


def test_a_step_of_one_text_has_no_baseline() -> None:
    """The mean with the text itself in it would leave nothing of its reward."""
    writer = OnPolicyWriter(REWARDED, Rewarded().write_rows, seed=0)
    assert returns_of(writer.write(0, [batch_of([5])])) == {5: [0.0, 25.0, 25.0]}


def test_rows_beside_the_students_texts_have_no_return() -> None:
    choice = OnPolicy(1.0, beside=True, reward="my.module:reward")
    (written,) = OnPolicyWriter(choice, Rewarded().write_rows, seed=0).write(0, [batch_of([4, 2])])
    assert written["returns_BT"].tolist() == [[0, 0, 0], [0, 0, 0], [0, 12, 12], [0, -12, -12]]


def test_a_reward_is_of_the_students_own_distribution() -> None:
    for decoding in (Decoding(temperature=0.7), Decoding(temperature=0.0), Decoding(top_p=0.9), Decoding(beams=2)):
        with pytest.raises(ConfigError, match="drawn at temperature 1"):
            OnPolicy(1.0, decoding=decoding, reward="my.module:reward")
        OnPolicy(1.0, decoding=decoding)
    with pytest.raises(ConfigError, match="share of steps with such texts is 0"):
        OnPolicy(0.0, reward="my.module:reward")


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_and_1_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="must be from 0 to 1"):
        OnPolicy(share)
