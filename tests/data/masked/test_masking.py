"""Which tokens are masked, and by what."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from limbeck.data.masked.masking import Masking, token_weights
from limbeck.types import UNLABELLED

ORDINARY = np.arange(5, 1000)
MASKING = Masking(0.15, 4, ORDINARY)


def text(tokens: int, *, first: int = 5) -> tuple[np.ndarray, np.ndarray]:
    ids = np.concatenate([[2], np.arange(first, first + tokens), [3]]).astype(np.int32)
    return ids, (ids > 4)


def test_the_number_of_masks_is_rounded_and_at_least_one() -> None:
    for tokens, masks in ((1, 1), (3, 1), (10, 2), (20, 3), (100, 15)):
        ids, maskable = text(tokens)
        _, labels = MASKING.masked(ids, maskable, (0, 0, 0))
        assert (labels != UNLABELLED).sum() == masks == MASKING.count(tokens)


def test_labels_are_the_tokens_before_and_nothing_else_changes() -> None:
    ids, maskable = text(200)
    for row in range(20):
        inputs, labels = MASKING.masked(ids, maskable, (0, row, 0))
        chosen = labels != UNLABELLED
        assert (labels[chosen] == ids[chosen]).all()
        assert (inputs[~chosen] == ids[~chosen]).all()
        assert maskable[chosen].all()  # never a special token
        assert not np.isin(inputs[chosen], [0, 1, 2, 3]).any()  # nor one in the place of another


def test_80_10_10() -> None:
    ids, maskable = text(900)
    fates: Counter[str] = Counter()
    for row in range(200):
        inputs, labels = MASKING.masked(ids, maskable, (1, row, 0))
        chosen = labels != UNLABELLED
        masked, same = inputs[chosen] == 4, inputs[chosen] == ids[chosen]
        fates.update(mask=int(masked.sum()), same=int(same.sum()), other=int((~masked & ~same).sum()))
    total = fates.total()
    assert total == 200 * 135
    # Three standard errors of a share are 0.0073 and 0.0055.
    assert fates["mask"] / total == pytest.approx(0.8, abs=0.0075)
    assert fates["same"] / total == pytest.approx(0.1, abs=0.006)
    assert fates["other"] / total == pytest.approx(0.1, abs=0.006)


def test_seed_row_and_pass_each_change_the_masks_and_nothing_else_does() -> None:
    ids, maskable = text(60)

    def places(**changed: int) -> tuple[int, ...]:
        key = {"seed": 3, "row": 5, "turn": 0, **changed}
        _, labels = MASKING.masked(ids, maskable, tuple(key.values()))
        return tuple(np.flatnonzero(labels != UNLABELLED))

    assert places() == places()
    different = {places(), places(seed=4), places(row=6), places(turn=1), places(row=5, turn=2)}
    assert len(different) == 5


def test_every_token_is_masked_equally_often() -> None:
    ids, maskable = text(20)
    counts = np.zeros(22)
    for turn in range(4000):
        counts += MASKING.masked(ids, maskable, (0, 0, turn))[1] != UNLABELLED
    assert counts[[0, -1]].tolist() == [0, 0]
    assert counts[1:-1] / 4000 == pytest.approx(np.full(20, 0.15), abs=0.023)  # four standard errors


def test_rare_tokens_are_masked_more_often() -> None:
    """With one of two tokens masked, the chance of each is its share of the weights."""
    weights = token_weights(np.asarray([5] * 16 + [6], dtype=np.int32), 8, -0.5)
    assert weights is not None
    assert weights[[5, 6, 7]].tolist() == [0.25, 1.0, 1.0]  # one that does not occur counts as one
    masking = Masking(0.5, 4, ORDINARY, weights)
    ids = np.asarray([2, 5, 6, 3], dtype=np.int32)
    rare = sum(masking.masked(ids, ids > 4, (0, 0, turn))[1][2] == 6 for turn in range(4000))
    assert rare / 4000 == pytest.approx(0.8, abs=0.026)
    assert token_weights(ids, 8, 0.0) is None
