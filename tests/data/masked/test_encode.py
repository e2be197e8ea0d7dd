"""Texts as rows of tokens: special ones around, long ones split, and padding that changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.masked_lm.masked_models import SPECIAL, WORDS, make_tokenizer, texts

from limbeck.data.generation.records import Example, Examples
from limbeck.data.generation.task import Generation
from limbeck.data.masked.encode import MaskedTexts, encode_texts
from limbeck.data.masked.task import MaskedLM
from limbeck.errors import ConfigError, DataError, ModelError
from limbeck.types import UNLABELLED, Origin

CLS, SEP, MASK, UNK = 2, 3, 4, 1


def encode(rows: list[str], length: int = 32, **task: Any) -> MaskedTexts:
    examples = [Example((), text, Origin("rows", i + 1)) for i, text in enumerate(rows)]
    return encode_texts(
        Examples(Generation(text="text"), examples, 0, 0, "", ()), MaskedLM(**task), make_tokenizer(), length
    )


def rows_of(encoded: MaskedTexts) -> list[list[int]]:
    return [ids.tolist() for ids in np.split(encoded.ids, encoded.offsets[1:-1])]


def test_a_long_text_is_split_and_no_token_is_lost() -> None:
    encoded = encode(["ba be bi bo bu da", "ba"], length=6)
    ids = {word: 5 + number for number, word in enumerate(WORDS)}
    first = [CLS, *(ids[word] for word in ["ba", "be", "bi", "bo"]), SEP]
    assert rows_of(encoded) == [first, [CLS, ids["bu"], ids["da"], SEP], [CLS, ids["ba"], SEP]]
    assert encoded.text_of.tolist() == [0, 0, 1]
    assert encoded.supervised.tolist() == [1, 1, 1]


def test_special_and_unknown_tokens_are_never_masked() -> None:
    encoded = encode(["ba zzz be [MASK] bi [SEP] bo"], mask_fraction=0.99)
    batch = encoded.batch([0, 1, 2])
    labels = batch["labels_BT"][0]
    assert rows_of(encoded)[0] == [CLS, 5, UNK, 6, MASK, 7, SEP, 8, SEP]
    assert labels.tolist() == [UNLABELLED, 5, UNLABELLED, 6, UNLABELLED, 7, UNLABELLED, 8, UNLABELLED]


def test_texts_without_a_token_to_mask_have_no_row() -> None:
    encoded = encode(["zzz yyy", "ba be", "[SEP]"])
    assert [str(origin) for origin in encoded.bare] == ["rows:1", "rows:3"]
    assert encoded.text_of.tolist() == encoded.texts_read.tolist() == [1]
    with pytest.raises(DataError, match="none of the 2 texts has a token that can be masked"):
        encode(["zzz", "yyy"])


def test_the_number_of_masks_is_known_beforehand() -> None:
    encoded = encode(texts(20), mask_fraction=0.4)
    for turn in range(3):
        labels = encoded.batch(np.arange(len(encoded)) + turn * len(encoded))["labels_BT"]
        assert (labels != UNLABELLED).sum(dim=1).tolist() == encoded.supervised.tolist()


def test_padding_and_neighbours_change_nothing() -> None:
    encoded = encode(texts(8))
    together = encoded.batch(range(8))
    for row in range(8):
        alone = encoded.batch([row])
        length = int(encoded.lengths[row])
        for name in ("input_ids", "attention_mask"):
            assert torch.equal(alone["student"][name][0], together["student"][name][row, :length])
        assert torch.equal(alone["labels_BT"][0], together["labels_BT"][row, :length])
        assert (together["student"]["input_ids"][row, length:] == 0).all()
        assert not together["student"]["attention_mask"][row, length:].any()


def test_random_tokens_are_words() -> None:
    assert encode(["ba"]).masking.ordinary_ids.tolist() == list(range(len(SPECIAL), len(SPECIAL) + len(WORDS)))


def test_what_cannot_be_masked_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_length 2 leaves no room for text"):
        encode(["ba be"], length=2)
    tokenizer = make_tokenizer.__wrapped__()
    tokenizer.mask_token = None
    with pytest.raises(ModelError, match="has no mask token: masked language modelling is for encoders"):
        encode_texts(Examples(Generation(text="text"), [], 0, 0, "", ()), MaskedLM(), tokenizer, 32)
