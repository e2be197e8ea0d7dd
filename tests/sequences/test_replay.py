"""When the student's texts are used, which, and that a restart goes on as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import repeat
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from limbeck.errors import ConfigError
from limbeck.models.generate import Completion, Decoding
from limbeck.sequences.replay import Replay, ReplayWriter
from limbeck.types import Batch

DECODING = Decoding(max_new_tokens=3)


class Student:
    """Writes its number of calls behind the row, and is validated with given losses."""

    def __init__(self, losses: Iterable[float] = repeat(1.0)) -> None:
        self.calls: list[tuple[list[int], Decoding, int]] = []
        self._losses = iter(losses)

    def write(self, rows: NDArray[np.int64], decoding: Decoding, seed: int) -> list[Completion]:
        self.calls.append((rows.tolist(), decoding, seed))
        return [Completion([int(row), len(self.calls)], bool(row % 2)) for row in rows]

    def validate(self) -> float:
        return next(self._losses)

    def writer(self, choice: Replay, *, steps: int = 100, **place: int) -> ReplayWriter:
        return ReplayWriter(
            choice, steps=steps, write=self.write, make_batch=make_batch, validate=self.validate,
            **({"seed": 5} | place),
        )  # fmt: skip


def make_batch(rows: NDArray[np.int64], completions: list[Completion]) -> Batch:
    return {"rows_B": torch.tensor(rows), "labels_BT": torch.tensor([one.ids for one in completions])}


def batches_of(step: int, rows: int = 2) -> list[Batch]:
    first = 10 * step
    return [{"rows_B": torch.arange(first, first + rows)}, {"rows_B": torch.arange(first + rows, first + 2 * rows)}]


def state(phi: float, buffer: int = 0) -> dict[str, Any]:
    """Return a state with so many texts of the rows 1000, 1001, ..."""
    return {"phi": phi, "reference": 1.0, "buffer": [[1000 + i, [[1000 + i, 0], True]] for i in range(buffer)]}


def test_phi_starts_at_0_and_rises_with_the_validation_loss() -> None:
    student = Student([2.0, 2.05, 2.125, 2.2, 2.1, 2.25, 3.0, 4.0])
    writer = student.writer(Replay(validations=8, tolerance=0.125, rise=0.25), steps=40)
    found = []
    for step in range(40):
        writer.write(step, batches_of(step))
        found.append(writer.state()["phi"])
    assert found[::5] == found[4::5] == [0, 0, 0.25, 0.25, 0.25, 0.5, 0.75, 1.0]


def test_phi_stays_at_1() -> None:
    writer = Student(np.arange(1.0, 100.0)).writer(Replay(validations=5, rise=0.4), steps=5)
    for step in range(5):
        writer.write(step, batches_of(step))
    assert writer.state()["phi"] == 1.0


def test_while_the_student_gets_better_its_texts_are_not_used() -> None:
    student = Student(np.linspace(2.0, 1.0, 20))
    writer = student.writer(Replay())
    for step in range(100):
        batches = batches_of(step)
        assert writer.write(step, batches) is batches
    assert student.calls == []


def test_the_share_of_steps_with_the_students_texts_is_phi() -> None:
    writer = Student().writer(Replay(validations=1), steps=1000)
    writer.restore(state(0.3))
    used = sum(writer.write(step, batches := batches_of(step)) is not batches for step in range(1000))
    assert used / 1000 == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / 1000) ** 0.5)


def test_until_the_buffer_is_full_texts_are_written() -> None:
    student = Student()
    writer = student.writer(Replay(capacity=40, fresh="increasing", decoding=DECODING))
    writer.restore(state(1.0))
    for step in range(10):
        written = writer.write(step, batches_of(step))
        assert torch.equal(torch.cat([batch["rows_B"] for batch in written]), torch.arange(10 * step, 10 * step + 4))
        assert torch.equal(torch.cat([batch["labels_BT"][:, 0] for batch in written]),
                           torch.arange(10 * step, 10 * step + 4))  # fmt: skip
    assert len(student.calls) == 20
    assert {decoding for _, decoding, _ in student.calls} == {DECODING}
    assert len({seed for _, _, seed in student.calls}) == 20
    assert len(writer.state()["buffer"]) == 40


def test_the_oldest_texts_leave_the_buffer() -> None:
    writer = Student().writer(Replay(capacity=6, fresh="constant"))
    writer.restore(state(1.0, buffer=3))
    writer.write(0, batches_of(7))
    assert [row for row, _ in writer.state()["buffer"]] == [1001, 1002, 70, 71, 72, 73]


def test_the_capacity_is_that_of_all_ranks_together() -> None:
    writer = Student().writer(Replay(capacity=6), rank=1, ranks=2)
    writer.restore(state(1.0))
    writer.write(0, batches_of(0))
    assert [row for row, _ in writer.state()["buffer"]] == [1, 2, 3]


def test_a_full_buffer_is_replayed_without_writing() -> None:
    student = Student()
    writer = student.writer(Replay(capacity=4, fresh="increasing"))
    writer.restore(state(1.0, buffer=4))
    first, second = writer.write(0, batches_of(0))  # no fresh ones at the start
    assert student.calls == []
    for batch in (first, second):
        assert set(batch["rows_B"].tolist()) <= {1000, 1001, 1002, 1003}
        assert torch.equal(batch["labels_BT"][:, 0], batch["rows_B"])  # each with its own text


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
    ("fresh", "early", "late"), [("decreasing", 0.875, 0.125), ("constant", 0.5, 0.5), ("increasing", 0.125, 0.875)]
)
def test_the_share_of_fresh_texts_over_a_stage(fresh: Any, early: float, late: float) -> None:
    student = Student()
    writer = student.writer(Replay(capacity=1, fresh=fresh, validations=1), steps=2000)
    writer.restore(state(1.0, buffer=1))
    wrote = []
    for step in range(2000):
        before = len(student.calls)
        writer.write(step, [{"rows_B": torch.tensor([step])}])
        wrote.append(len(student.calls) > before)
    assert float(np.mean(wrote[:500])) == pytest.approx(early, abs=0.07)
    assert float(np.mean(wrote[-500:])) == pytest.approx(late, abs=0.07)


def test_any_text_of_the_buffer_is_replayed_whatever_phi() -> None:
    """What is drawn from the buffer must not hang on the coin that led there."""
    writer = Student().writer(Replay(capacity=100, fresh="increasing", validations=1), steps=10**6)
    writer.restore(state(0.1, buffer=100))
    places: list[list[int]] = []
    for step in range(4000):
        batches = [{"rows_B": torch.zeros(4, dtype=torch.int64)}]
        (replayed,) = writer.write(step, batches)  # type: ignore[arg-type]
        if replayed is not batches[0]:
            places.append((replayed["rows_B"] - 1000).tolist())
    assert len(places) > 300
    spread = 4 * 100 / 12**0.5 / len(places) ** 0.5
    assert np.mean(places, axis=0).tolist() == pytest.approx([49.5] * 4, abs=spread)


def test_ranks_do_alike_with_texts_of_their_own() -> None:
    used, replayed, seeds = [], [], []
    for rank in range(2):
        student = Student()
        writer = student.writer(Replay(capacity=80, fresh="constant", validations=1), rank=rank, ranks=2)
        writer.restore(state(0.7, buffer=40))
        kinds = []
        for step in range(60):
            before = len(student.calls)
            batches = batches_of(step, rows=4)
            found = writer.write(step, batches)
            kinds.append((found is batches, len(student.calls) > before))
            if found is not batches and len(student.calls) == before:
                replayed.append((rank, step, found[0]["rows_B"].tolist()))
        used.append(kinds)
        seeds += [seed for _, _, seed in student.calls]
    assert used[0] == used[1]
    assert set(used[0]) == {(True, False), (False, False), (False, True)}
    assert len(set(seeds)) == len(seeds)
    first = {step: rows for rank, step, rows in replayed if rank == 0}
    assert any(rows != first[step] for rank, step, rows in replayed if rank == 1)


def test_a_state_through_json_goes_on_the_same_way() -> None:
    choice = Replay(capacity=10, fresh="constant", validations=10, tolerance=0.0)

    def run(writer: ReplayWriter, steps: range) -> list[Any]:
        found = [writer.write(step, batches_of(step)) for step in steps]
        return [[(b["rows_B"].tolist(), b.get("labels_BT", torch.empty(0)).tolist()) for b in one] for one in found]

    losses = np.linspace(1.0, 3.0, 20)
    whole = Student(losses).writer(choice)
    expected = run(whole, range(100))
    early = Student(losses)
    first = early.writer(choice)
    assert run(first, range(57)) == expected[:57]
    saved = json.loads(json.dumps(first.state()))
    late = Student(losses[6:])
    late.calls = list(early.calls)
    second = late.writer(choice)
    second.restore(saved)
    assert run(second, range(57, 100)) == expected[57:]
    assert second.state() == whole.state()


@pytest.mark.parametrize("options", [{"capacity": 0}, {"validations": 0}], ids=["capacity", "validations"])
def test_no_buffer_or_no_validation_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="capacity and validations must be at least 1"):
        Replay(**options)  # type: ignore[arg-type]
