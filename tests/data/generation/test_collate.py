"""Labels are shifted once, masks are carried, and padding changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.data.generation.collate import TokenSequence, collate, with_completion
from limbeck.types import UNLABELLED

NO = UNLABELLED
EOS = 2


def sequence(prompt: list[int], completion: list[int]) -> TokenSequence:
    return with_completion(prompt, completion, [EOS])


def test_each_position_predicts_the_next_token_and_the_prompt_predicts_none() -> None:
    batch = collate([sequence([1, 7, 8], [9, EOS]), sequence([1, 5], [6, 7, 8, EOS])], pad_id=0)
    assert batch["student"]["input_ids"].tolist() == [[1, 7, 8, 9, EOS, 0], [1, 5, 6, 7, 8, EOS]]
    assert batch["student"]["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 0], [1] * 6]
    assert batch["labels_BT"].tolist() == [[NO, NO, 9, EOS, NO, NO], [NO, 6, 7, 8, EOS, NO]]
    assert all(tensor.dtype == torch.int64 for tensor in [batch["labels_BT"], *batch["student"].values()])


def test_a_one_token_completion_has_a_label() -> None:
    assert collate([sequence([1, 7], [9])], 0)["labels_BT"].tolist() == [[NO, 9, NO]]


@pytest.mark.parametrize("pad", [0, EOS, 9], ids=["pad", "end", "word"])
@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
def test_a_padding_id_that_is_also_a_token_changes_no_label(pad: int, left: bool) -> None:
    rows = [sequence([1, EOS, 8], [9, EOS]), sequence([EOS], [9, 9, 9, 9, EOS])]
    batch = collate(rows, pad, pad_left=left)
    for row, labels, mask in zip(rows, batch["labels_BT"], batch["student"]["attention_mask"], strict=True):
        assert labels[labels != NO].tolist() == row.completion_ids.tolist()
        assert int(mask.sum()) == len(row.ids)
        assert (labels[mask == 0] == NO).all()


def test_left_padding_moves_ids_masks_labels_and_positions_alike() -> None:
    batch = collate([sequence([1, 7], [9, EOS]), sequence([1, 5], [6, 7, 8, EOS])], 0, pad_left=True)
    assert batch["student"]["input_ids"][0].tolist() == [0, 0, 1, 7, 9, EOS]
    assert batch["student"]["attention_mask"][0].tolist() == [0, 0, 1, 1, 1, 1]
    assert batch["student"]["position_ids"][0].tolist() == [0, 0, 0, 1, 2, 3]
    assert batch["labels_BT"][0].tolist() == [NO, NO, NO, 9, EOS, NO]


def test_every_turn_may_be_supervised_and_a_first_token_never_is() -> None:
    supervised = np.array([True, False, True, False, True])
    row = TokenSequence(np.arange(10, 15, dtype=np.int32), supervised, 4, False)
    assert collate([row], 0)["labels_BT"].tolist() == [[NO, 12, NO, 14, NO]]


@pytest.mark.parametrize(
    ("tokens", "ended", "completion"),
    [
        ([9, EOS], True, [9, EOS]),
        ([9, EOS, EOS, EOS], True, [9, EOS]),
        ([9, 3, 8], True, [9, 3]),
        ([EOS], True, [EOS]),
        ([9, 8], False, [9, 8]),
    ],
    ids=["end", "padded_by_end", "other_end", "end_alone", "capped"],
)
def test_the_first_end_token_is_a_target_and_a_cap_has_none(
    tokens: list[int], ended: bool, completion: list[int]
) -> None:
    row = with_completion([1, 7], tokens, [EOS, 3])
    assert row.prompt_ids.tolist() == [1, 7]
    assert row.completion_ids.tolist() == completion
    assert row.ended == ended
    labels = collate([row], pad_id=EOS)["labels_BT"]
    assert labels[labels != NO].tolist() == completion


def test_an_encoder_reads_the_prompt_and_targets_are_masked_not_inputs() -> None:
    # T5: the decoder starts with the padding token; a mask made of its inputs would drop the first prediction.
    batch = collate([sequence([7, 8], [9, EOS]), sequence([5], [6, 0, 8, EOS])], pad_id=0, decoder_start=0)
    assert batch["student"]["input_ids"].tolist() == [[7, 8], [5, 0]]
    assert batch["student"]["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert batch["student"]["decoder_input_ids"].tolist() == [[0, 9, 0, 0], [0, 6, 0, 8]]
    assert batch["labels_BT"].tolist() == [[9, EOS, NO, NO], [6, 0, 8, EOS]]


def test_packed_rows_hold_the_same_targets_in_the_same_order() -> None:
    rows = [sequence([1, 5], [EOS]), sequence([1, 6], [9, 8, EOS]), sequence([1, 7], [8, EOS]), sequence([1], [EOS])]
    packed, padded = collate(rows, 0, pack_to=8), collate(rows, 0)
    assert packed["student"].keys() == {"input_ids", "position_ids"}
    assert packed["student"]["input_ids"].tolist() == [[1, 5, EOS, 1, 6, 9, 8, EOS], [1, 7, 8, EOS, 1, EOS, 0, 0]]
    assert packed["student"]["position_ids"].tolist() == [[0, 1, 2, 0, 1, 2, 3, 4], [0, 1, 2, 3, 0, 1, 0, 1]]
    for batch in (packed, padded):
        labels = batch["labels_BT"]
        assert labels[labels != NO].tolist() == [token for row in rows for token in row.completion_ids.tolist()]


def test_keys_name_the_ids_and_their_targets() -> None:
    one = sequence([1, 7], [9, EOS])
    assert one.key == sequence([1, 7], [9, EOS, 5]).key
    others = [
        sequence([1, 7, 9], [EOS]),
        sequence([1, 8], [9, EOS]),
        TokenSequence(one.ids, np.ones(4, dtype=np.bool_), 2, True),
    ]
    assert len({one.key, *(other.key for other in others)}) == 4
    assert len(one.key) == 32


def loss_sum(model: Any, batch: Any) -> torch.Tensor:
    logits = model(**batch["student"], use_cache=False).logits
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), batch["labels_BT"].flatten(), ignore_index=NO, reduction="sum"
    )


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_loss_of_a_batch_is_the_sum_of_its_rows_on_either_side_and_packed(
    make_llama: Callable[..., Any], kind: str
) -> None:
    # Prompts of different lengths: a slice by the batch's widest prompt would lose tokens of the short one.
    model = make_llama(kind=kind)
    rows = [
        sequence([1, 7, 8, 9, 10], [11, EOS]),
        sequence([1, 5], [6, 7, 8, EOS]),
        sequence([1, 4], [8]),
    ]
    with torch.no_grad():
        alone = sum(loss_sum(model, collate([row], 0)) for row in rows)
        assert float(alone) > 1
        for options in ({}, {"pad_left": True}, {"pack_to": 8}):
            for pad in (0, EOS):
                together = loss_sum(model, collate(rows, pad, **options))
                torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_only_supervised_positions_have_a_gradient(make_llama: Callable[..., Any]) -> None:
    model = make_llama()
    batch = collate([sequence([1, 7, 8], [9, EOS]), sequence([1], [5])], EOS)
    logits = model(**batch["student"]).logits.detach().requires_grad_()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels_BT"].flatten(), ignore_index=NO)
    loss.backward()
    assert logits.grad is not None
    touched = logits.grad.abs().sum(dim=-1) > 0
    assert touched.tolist() == [[False, False, True, True, False], [True, False, False, False, False]]
