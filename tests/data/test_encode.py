"""Batches of token ids equal to the tokenizer's own, and limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.data import encode
from limbeck.data.encode import encode_rows, same_token_ids, token_limit
from limbeck.errors import ModelError
from limbeck.types import Origin, Rows

Make = Callable[..., Any]
TEXTS = ["the cat", "the dogs is running .", "a", "", "cats running running running ?", "unknown [PAD] the"]
PAIRS = ["a dog ?", "", "the cats is a dog .", "running", "the", "a cat"]


def rows_of(texts: list[str], pairs: list[str] | None = None) -> Rows:
    return Rows(texts, pairs, [None] * len(texts), [Origin("a.csv", i + 1) for i in range(len(texts))])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pairs", [None, PAIRS])
@pytest.mark.parametrize("picked", [[0, 1, 2, 3, 4, 5], [4, 0], [3], [1, 1, 2]])
def test_a_batch_is_the_tokenizers_own_padded_batch(
    make_tokenizer: Make, side: str, pairs: list[str] | None, picked: list[int]
) -> None:
    tokenizer = make_tokenizer(padding_side=side)
    encoded = encode_rows(rows_of(TEXTS, pairs), tokenizer, 64)
    own = tokenizer(
        [TEXTS[i] for i in picked],
        [pairs[i] for i in picked] if pairs else None,
        padding="longest",
        return_tensors="pt",
    )
    batch = encoded.batch(picked)
    assert batch.keys() == own.keys()
    for name, tensor in batch.items():
        assert tensor.dtype == torch.int64
        assert torch.equal(tensor, own[name]), name


def test_cut_rows_are_the_tokenizers_own_and_are_counted(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer()
    full = encode_rows(rows_of(TEXTS, PAIRS), tokenizer, 64)
    assert full.rows_at_limit == 0
    limit = 8
    encoded = encode_rows(rows_of(TEXTS, PAIRS), tokenizer, limit)
    own = tokenizer(TEXTS, PAIRS, truncation=True, max_length=limit, padding=True, return_tensors="pt")
    assert torch.equal(encoded.batch(range(6))["input_ids"], own["input_ids"])
    assert encoded.lengths.max() == limit
    assert encoded.rows_at_limit == (full.lengths >= limit).sum()
    assert 0 < encoded.rows_at_limit < 6


def test_lengths_count_special_tokens(make_tokenizer: Make) -> None:
    assert encode_rows(rows_of(["the cat", ""]), make_tokenizer(), 64).lengths.tolist() == [4, 2]


def test_a_pad_token_in_the_text_is_not_masked(make_tokenizer: Make) -> None:
    batch = encode_rows(rows_of(["the [PAD] cat", "the"]), make_tokenizer(), 64).batch([0, 1])
    assert batch["input_ids"][0].tolist() == [2, 5, 0, 7, 3]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]


def test_a_tokenizer_without_token_types_gives_none(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer(model_input_names=["input_ids", "attention_mask"])
    assert set(encode_rows(rows_of(TEXTS, PAIRS), tokenizer, 64).batch([0, 1])) == {"input_ids", "attention_mask"}


def test_rows_are_the_same_whatever_is_tokenised_at_once(
    make_tokenizer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encode_rows(rows_of(TEXTS, PAIRS), make_tokenizer(), 8)
    monkeypatch.setattr(encode, "_ROWS_AT_ONCE", 4)
    parts = encode_rows(rows_of(TEXTS, PAIRS), make_tokenizer(), 8)
    assert np.array_equal(whole.ids, parts.ids)
    assert np.array_equal(whole.offsets, parts.offsets)
    assert whole.token_types is not None
    assert np.array_equal(whole.token_types, parts.token_types)


def test_the_fingerprint_is_that_of_ids_types_and_lengths(make_tokenizer: Make) -> None:
    def fingerprint(texts: list[str], pairs: list[str] | None = None, **options: Any) -> str:
        return encode_rows(rows_of(texts, pairs), make_tokenizer(**options), 64).fingerprint()

    first = fingerprint(["the cat", "a"])
    assert fingerprint(["the cat", "a"]) == first
    others = [
        fingerprint(["the cat", "the"]),
        fingerprint(["a", "the cat"]),
        fingerprint(["the cat"]),
        fingerprint(["the cat", "a"], model_input_names=["input_ids"]),
        fingerprint(["The cat", "a"], do_lower_case=False),
        fingerprint(["the", "a"], ["cat", ""]),
    ]
    assert len({first, *others}) == 7


def test_no_rows(make_tokenizer: Make) -> None:
    encoded = encode_rows(rows_of([]), make_tokenizer(), 8)
    assert len(encoded.lengths) == 0
    assert encoded.rows_at_limit == 0


def test_a_tokenizer_without_padding_is_refused(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer()
    tokenizer.pad_token = None
    with pytest.raises(ModelError, match="has no padding token"):
        encode_rows(rows_of(TEXTS), tokenizer, 8)


class Model(torch.nn.Module):
    """As much of a model as `token_limit` looks at: what its configuration claims, and a table of positions."""

    def __init__(self, claimed: int | None, positions: int | None = None, padding: int | None = None) -> None:
        super().__init__()
        values = {"max_position_embeddings": claimed, "vocab_size": 40, "pad_token_id": padding}
        self.config = type("Config", (), values)()
        rows = positions or claimed or 4096
        self.position_embeddings = torch.nn.Embedding(rows, 2, padding_idx=padding)

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.position_embeddings

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Count positions after the padding id, as RoBERTa does."""
        padding = self.position_embeddings.padding_idx
        return self.position_embeddings(torch.arange(input_ids.shape[1]) + (0 if padding is None else padding + 1))


@pytest.mark.parametrize(
    ("of_tokenizer", "of_model", "wanted", "limit"),
    [
        (128, 512, None, 128),
        (10**30, 512, None, 512),
        (10**30, 8192, None, 512),
        (10**30, 64, None, 64),
        (10**30, None, None, 512),
        (128, 512, 32, 32),
        (128, 512, 512, 512),
        (10**30, 8192, 1024, 1024),
        (10**30, None, 2048, 2048),
    ],
)
def test_token_limit(
    make_tokenizer: Make, of_tokenizer: int, of_model: int | None, wanted: int | None, limit: int
) -> None:
    tokenizer = make_tokenizer(model_max_length=of_tokenizer)
    assert token_limit(tokenizer, Model(of_model), wanted) == limit


@pytest.mark.parametrize("of_tokenizer", [10**30, 1e30, -1, 130])
def test_positions_that_padding_takes_are_no_tokens(make_tokenizer: Make, of_tokenizer: float) -> None:
    tokenizer = make_tokenizer(model_max_length=of_tokenizer)
    assert token_limit(tokenizer, Model(130, padding=1)) == 128
    assert token_limit(tokenizer, Model(None, 130, padding=1)) == 128
    with pytest.raises(ModelError, match="max_length 129 is more than the 128 tokens Model can read"):
        token_limit(tokenizer, Model(130, padding=1), 129)
    assert token_limit(tokenizer, Model(130, padding=1), 128) == 128


def test_a_limit_beyond_the_models_is_refused(make_tokenizer: Make) -> None:
    with pytest.raises(ModelError, match="max_length 65 is more than the 64 tokens Model can read"):
        token_limit(make_tokenizer(), Model(64), 65)


def test_token_ids_are_compared_and_not_sizes(make_tokenizer: Make) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "dog"]
    swapped = [*words[:5], "dog", "cat"]
    assert same_token_ids(make_tokenizer(words), make_tokenizer(words, model_max_length=9))
    assert not same_token_ids(make_tokenizer(words), make_tokenizer(swapped))
    assert not same_token_ids(make_tokenizer(words), make_tokenizer([*words, "cow"]))
