"""Shares and partners depend on seed, step and row, and on nothing else."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from limbeck.sequences.mixing import MixedPairs, mixing_for
from limbeck.types import Attribution, Batch, Mixup, Needs


def batch(*rows: int) -> Batch:
    return {"rows_B": torch.tensor(rows)}


def shares(drawn: list[Batch]) -> dict[int, float]:
    return {
        row: share
        for one in drawn
        for row, share in zip(one["rows_B"].tolist(), one["mixing"]["share_B"].tolist(), strict=True)
    }


def partners(drawn: list[Batch]) -> dict[int, int]:
    return {
        int(one["rows_B"][place]): int(one["rows_B"][partner])
        for one in drawn
        for place, partner in enumerate(one["mixing"]["partner_B"].tolist())
    }


def test_a_split_changes_neither_shares_nor_partners() -> None:
    pairs = MixedPairs(0.4, seed=3)
    whole = pairs.write(5, [batch(7, 2, 9, 4, 1, 8)])
    split = pairs.write(5, [batch(1, 8)]) + MixedPairs(0.4, seed=3).write(5, [batch(7, 2), batch(9, 4)])
    assert shares(split) == shares(whole)
    assert partners(split) == partners(whole) == {7: 2, 2: 7, 9: 4, 4: 9, 1: 8, 8: 1}


def test_they_differ_between_steps_seeds_and_rows() -> None:
    drawn = {
        (seed, step): tuple(shares(MixedPairs(0.4, seed).write(step, [batch(0, 1, 2, 3)])).values())
        for seed in range(3)
        for step in range(3)
    }
    assert len({share for row in drawn.values() for share in row}) == 36


@pytest.mark.parametrize("concentration", [0.4, 2.0])
def test_shares_are_drawn_from_the_beta_distribution(concentration: float) -> None:
    (drawn,) = MixedPairs(concentration, seed=0).write(0, [batch(*range(2000))])
    assert stats.kstest(drawn["mixing"]["share_B"].numpy(), stats.beta(concentration, concentration).cdf).pvalue > 0.01


def test_the_rest_of_a_batch_stays_and_there_is_no_state() -> None:
    given: Batch = {**batch(0, 1), "labels_B": torch.tensor([1, 0])}
    pairs = MixedPairs(0.4, seed=0)
    (drawn,) = pairs.write(0, [given])
    assert drawn["labels_B"] is given["labels_B"]
    assert "mixing" not in given
    assert pairs.state() == {}
    pairs.restore({})


def test_they_are_drawn_for_whom_reads_them() -> None:
    assert mixing_for(Needs(teacher_probes=frozenset({Attribution()}), logits=True), 0) is None
    read = mixing_for(Needs(student_probes=frozenset({Mixup(0.7), Attribution()})), 4)
    assert read is not None
    assert shares(read.write(1, [batch(0, 1)])) == shares(MixedPairs(0.7, 4).write(1, [batch(0, 1)]))
