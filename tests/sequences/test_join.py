"""Rows of two micro-batches in one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limbeck.data.generation.collate import TokenSequence, collate
from limbeck.sequences.join import join_batches
from limbeck.types import UNLABELLED, Batch, DenseLogits


def sequences(*lengths: int, start: int = 3) -> list[TokenSequence]:
    """Rows of a prompt of one token and a completion; no two tokens alike."""
    made = []
    for length in lengths:
        ids = np.arange(start, start + length, dtype=np.int32)
        made.append(TokenSequence(ids, np.arange(length) >= 1, 1, False))
        start += length
    return made


def batch_of(rows: list[TokenSequence], numbers: list[int], decoder_start: int | None = None) -> Batch:
    batch = collate(rows, 0, decoder_start=decoder_start)
    batch["rows_B"] = torch.tensor(numbers)
    return batch


@pytest.mark.parametrize("decoder_start", [None, 2], ids=["causal", "encoder-decoder"])
@pytest.mark.parametrize("lengths", [(5, 2, 3), (2, 3, 6), (4, 4, 4)], ids=["longer", "shorter", "equal"])
def test_joined_rows_are_those_of_one_batch(decoder_start: int | None, lengths: tuple[int, ...]) -> None:
    rows = sequences(*lengths)
    joined = join_batches(batch_of(rows[:2], [7, 8], decoder_start), batch_of(rows[2:], [9], decoder_start))
    whole = batch_of(rows, [7, 8, 9], decoder_start)
    assert joined.keys() == whole.keys()
    assert joined["student"].keys() == whole["student"].keys()
    assert torch.equal(joined["labels_BT"], whole["labels_BT"])
    assert torch.equal(joined["rows_B"], whole["rows_B"])
    for name, tensor in whole["student"].items():
        assert torch.equal(joined["student"][name], tensor), name


@pytest.mark.parametrize("swapped", [False, True])
def test_what_one_batch_has_alone_is_0_in_the_rows_of_the_other(swapped: bool) -> None:
    plain, weighed = batch_of(sequences(4, 2), [0, 1]), batch_of(sequences(3), [2])
    weighed["returns_BT"] = torch.tensor([[0.5, -1.5, 0.0]])
    joined = join_batches(weighed, plain) if swapped else join_batches(plain, weighed)
    own, others = (0, slice(1, 3)) if swapped else (2, slice(0, 2))
    assert joined["returns_BT"].shape == (3, 4)
    assert joined["returns_BT"][own].tolist() == [0.5, -1.5, 0.0, 0.0]
    assert (joined["returns_BT"][others] == 0).all()


def test_padding_is_masked_and_unlabelled() -> None:
    joined = join_batches(batch_of(sequences(5), [0]), batch_of(sequences(2), [1]))
    assert joined["student"]["attention_mask"][1].tolist() == [1, 1, 0, 0, 0]
    assert joined["labels_BT"][1, 1:].tolist() == [UNLABELLED] * 4


def test_signals_are_left_out_and_the_given_batches_stay_as_they_are() -> None:
    first, second = batch_of(sequences(2), [0]), batch_of(sequences(5), [1])
    first["signal"] = {"tokens": DenseLogits(torch.zeros(1, 2))}
    assert "signal" not in join_batches(first, second)
    assert "signal" in first
    assert first["labels_BT"].shape == (1, 2)
