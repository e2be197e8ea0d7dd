"""Rounds of texts: each used as often as said, with the returns it had when it was written."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.generation.collate import collate, with_completion
from limbeck.errors import ConfigError
from limbeck.models.generate import Completion, Decoding
from limbeck.numerics.returns import future_returns
from limbeck.sequences.rollouts import Rollouts, RolloutWriter
from limbeck.types import UNLABELLED, Batch, CompletionSource

ROWS = np.arange(100, 120)


def make_batch(rows: NDArray[np.int64], completions: list[Completion]) -> Batch:
    """Prompts of one to three tokens, and the completions behind them."""
    prompts = [[9] * (1 + int(row) % 3) for row in rows]
    batch = collate([with_completion(p, one.ids, (2,)) for p, one in zip(prompts, completions, strict=True)], 0)
    batch["rows_B"] = torch.from_numpy(np.asarray(rows))
    return batch


def score(batch: Batch) -> tuple[Tensor, Tensor]:
    """Log-probabilities that depend on token, place and model; not finite where nothing counts."""
    labels_BT = batch["labels_BT"]
    place_BT = torch.arange(labels_BT.shape[1]).expand_as(labels_BT) % 3
    student_BT, teacher_BT = -0.3 - 0.1 * labels_BT * (1 + place_BT), -0.1 - (labels_BT * 7 % 5) * 0.4
    unlabelled_BT = labels_BT == UNLABELLED
    return student_BT.masked_fill(unlabelled_BT, math.nan), teacher_BT.masked_fill(unlabelled_BT, -math.inf)


class Student:
    """Writes one to five tokens drawn with the seed, and keeps a list of its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[int], Decoding, int]] = []

    def write(self, rows: NDArray[np.int64], decoding: Decoding, seed: int) -> list[Completion]:
        self.calls.append((rows.tolist(), decoding, seed))
        rng = np.random.default_rng(seed)
        texts = [rng.integers(3, 50, rng.integers(1, 6)).tolist() for _ in rows]
        return [Completion(ids, False) if row % 2 else Completion([*ids, 2], True)
                for row, ids in zip(rows, texts, strict=True)]  # fmt: skip

    def writer(self, choice: Rollouts, *, rows: NDArray[np.int64] = ROWS, **place: int) -> RolloutWriter:
        return RolloutWriter(
            choice, rows=rows, write=self.write, make_batch=make_batch, score=score,
            **({"rows_per_step": 4, "seed": 1} | place),
        )  # fmt: skip


def step_batches(step: int) -> list[Batch]:
    """What the plan has; only its sizes are read."""
    return [{"rows_B": torch.zeros(2, dtype=torch.int64)} for _ in range(2)]


def run(writer: RolloutWriter, steps: range) -> list[list[Batch]]:
    return [writer.write(step, step_batches(step)) for step in steps]


def texts_of(batches: list[Batch]) -> list[tuple[int, ...]]:
    """Row number and tokens of each text."""
    found = []
    for batch in batches:
        for row, labels_T in zip(batch["rows_B"].tolist(), batch["labels_BT"], strict=True):
            found.append((row, *labels_T[labels_T != UNLABELLED].tolist()))
    return found


def same(one: Batch, two: Batch) -> bool:
    inputs = all(torch.equal(one["student"][name], two["student"][name]) for name in two["student"])
    return inputs and all(torch.equal(one[n], two[n]) for n in two if n != "student")  # type: ignore[literal-required]


CHOICE = Rollouts(prompts=8, epochs=3, decoding=Decoding(max_new_tokens=5))
OF_ROUND = 6
"""Steps: 8 texts in batches of 4, three times."""


def test_each_text_of_a_round_is_used_once_in_each_epoch() -> None:
    student = Student()
    steps = run(student.writer(CHOICE), range(3 * OF_ROUND))
    assert [[len(batch["rows_B"]) for batch in batches] for batches in steps] == [[2, 2]] * len(steps)
    rounds = [[texts_of(batches) for batches in steps[start : start + OF_ROUND]] for start in (0, OF_ROUND)]
    for texts in rounds:
        epochs = [Counter(texts[i] + texts[i + 1]) for i in (0, 2, 4)]
        assert epochs[0] == epochs[1] == epochs[2]
        assert set(epochs[0].values()) == {1}
        assert len(epochs[0]) == 8
        assert len({tuple(texts[i] + texts[i + 1]) for i in (0, 2, 4)}) == 3  # each time in another order
    assert set(chain(*rounds[0])).isdisjoint(chain(*rounds[1]))
    assert len(student.calls) == 3 * 4
    assert {decoding for _, decoding, _ in student.calls} == {CHOICE.decoding}
    assert len({seed for _, _, seed in student.calls}) == 12


def test_prompts_are_drawn_anew_for_each_round() -> None:
    student = Student()
    run(student.writer(CHOICE), range(20 * OF_ROUND))
    rounds = [list(chain(*(rows for rows, _, _ in student.calls[i : i + 4]))) for i in range(0, 80, 4)]
    assert all(len(set(rows)) == 8 and set(rows) <= set(ROWS.tolist()) for rows in rounds)
    assert set(chain(*rounds)) == set(ROWS.tolist())
    assert len({tuple(rows) for rows in rounds}) == 20


def test_fewer_rows_than_a_round_has_texts_are_drawn_more_than_once() -> None:
    student = Student()
    steps = run(student.writer(CHOICE, rows=ROWS[:3]), range(OF_ROUND))
    assert {row for rows, _, _ in student.calls for row in rows} <= set(ROWS[:3].tolist())
    assert sum(len(batch["rows_B"]) for batches in steps for batch in batches) == 4 * OF_ROUND


@pytest.mark.parametrize(
    "options",
    [{}, {"reward_limit": 0.3}, {"released_code": True}, {"teacher_fraction": 0.0}, {"teacher_fraction": 0.6}],
    ids=lambda options: "-".join(options) or "plain",
)
def test_returns_and_behaviour_are_those_of_the_text(options: dict[str, Any]) -> None:
    choice = Rollouts(prompts=8, epochs=1, **options)
    for batch in chain(*run(Student().writer(choice), range(2))):
        mask_BT = batch["labels_BT"] != UNLABELLED
        student_BT, teacher_BT = score(batch)
        share = choice.teacher_fraction
        drawn_BT = (share * teacher_BT.exp() + (1 - share) * student_BT.exp()).log()
        torch.testing.assert_close(batch["behaviour_log_probs_BT"][mask_BT], drawn_BT[mask_BT])
        rewards_BT = (teacher_BT - student_BT).clamp(-choice.reward_limit, choice.reward_limit)
        if not choice.released_code:
            torch.testing.assert_close(batch["returns_BT"], future_returns(rewards_BT, mask_BT))
        assert (batch["returns_BT"][~mask_BT] == 0).all()
        assert (batch["behaviour_log_probs_BT"][~mask_BT] == 0).all()
        assert (batch["source_B"] == CompletionSource.STUDENT).all()


def returns_of(steps: list[list[Batch]]) -> dict[int, list[float]]:
    """Returns of each row's tokens, the same in all steps where the row is."""
    found: dict[int, list[float]] = {}
    for batch in chain(*steps):
        mask_BT = batch["labels_BT"] != UNLABELLED
        for i, row in enumerate(batch["rows_B"].tolist()):
            returns = batch["returns_BT"][i, mask_BT[i]].tolist()
            assert found.setdefault(row, returns) == returns
    return found


def test_returns_as_in_the_released_code() -> None:
    """Whitened over the round, not over the two texts that are written at a time, which is a matter of memory."""
    steps = run(Student().writer(Rollouts(prompts=4, epochs=1, released_code=True)), range(1))
    white, plain = returns_of(steps), {}
    for batch in chain(*steps):
        mask_BT = batch["labels_BT"] != UNLABELLED
        student_BT, teacher_BT = score(batch)
        rewards_BT = (2 * (teacher_BT - student_BT)).clamp(-100, 100)
        returns_BT = future_returns(rewards_BT, mask_BT, inclusive=True, discount=0.95)
        plain |= {row: returns_BT[i, mask_BT[i]].tolist() for i, row in enumerate(batch["rows_B"].tolist())}
    together, found = (np.asarray(list(chain(*(one[row] for row in white)))) for one in (plain, white))
    assert found == pytest.approx((together - together.mean()) / (together.var() + 1e-8) ** 0.5, rel=1e-5)
    assert (found.mean(), found.std()) == pytest.approx((0, 1), abs=1e-5)


def test_a_text_keeps_its_returns_over_the_epochs() -> None:
    """They are of the student that wrote it; the student of later steps is another."""
    student = Student()
    steps = run(student.writer(CHOICE), range(OF_ROUND))
    assert len(returns_of(steps)) == 8
    assert len(student.calls) == 4  # in the first step, all of them


@pytest.mark.parametrize("stop", [1, 3, 6, 9])
def test_a_restart_goes_on_with_identical_batches(stop: int) -> None:
    expected = run(Student().writer(CHOICE), range(2 * OF_ROUND))
    first = Student().writer(CHOICE)
    run(first, range(stop))
    saved = json.loads(json.dumps(first.state()))
    student = Student()
    second = student.writer(CHOICE)
    second.restore(saved)
    for batches, wanted in zip(run(second, range(stop, 2 * OF_ROUND)), expected[stop:], strict=True):
        assert all(same(batch, other) for batch, other in zip(batches, wanted, strict=True))
    assert len(student.calls) == 4 * math.ceil((2 * OF_ROUND - stop) // OF_ROUND)  # no round is written twice


def test_ranks_share_the_prompts_of_a_round() -> None:
    drawn, seeds = [], []
    for rank in range(2):
        student = Student()
        writer = student.writer(Rollouts(prompts=16, epochs=2), rank=rank, ranks=2)
        run(writer, range(4))
        drawn.append([row for rows, _, _ in student.calls for row in rows])
        seeds += [seed for _, _, seed in student.calls]
    assert [len(rows) for rows in drawn] == [8, 8]
    assert len(set(drawn[0]) | set(drawn[1])) == 16
    assert len(set(seeds)) == len(seeds) == 8


def test_a_round_smaller_than_a_step_has_the_rows_of_a_step() -> None:
    steps = run(Student().writer(Rollouts(prompts=1, epochs=2)), range(2))
    assert [len(texts_of(batches)) for batches in steps] == [4, 4]
    assert set(texts_of(steps[0])) == set(texts_of(steps[1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher_fraction": 1.0}, "teacher_fraction must be at least 0 and below 1, not 1.0"),
        ({"teacher_fraction": -0.1}, "teacher_fraction must be at least 0 and below 1, not -0.1"),
        ({"prompts": 0}, "a round needs at least one prompt and one epoch"),
        ({"epochs": 0}, "a round needs at least one prompt and one epoch"),
        ({"decoding": Decoding(temperature=0.7)}, "a policy gradient needs texts drawn at temperature 1"),
        ({"decoding": Decoding(top_p=0.9)}, "a policy gradient needs texts drawn at temperature 1"),
        ({"decoding": Decoding(beams=2)}, "a policy gradient needs texts drawn at temperature 1"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Rollouts(**options)
