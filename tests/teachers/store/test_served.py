"""Answers of inference servers, in the forms that their documentation gives."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.errors import DataError
from limbeck.teachers.store.fingerprint import Fingerprint
from limbeck.teachers.store.reader import TokenStore
from limbeck.teachers.store.served import from_prompt_logprobs, from_top_logprobs
from limbeck.teachers.store.writer import StoreWriter
from limbeck.types import UNLABELLED, SparseLogits

VOCABULARY = 32_000

CHAT = json.loads("""
{"id": "chatcmpl-1", "object": "chat.completion", "model": "teacher", "choices": [{"index": 0,
 "message": {"role": "assistant", "content": "Hello there"}, "finish_reason": "stop", "logprobs": {"content": [
  {"token": "Hello", "logprob": -0.31725305, "bytes": [72, 101, 108, 108, 111], "top_logprobs": [
    {"token": "Hello", "logprob": -0.31725305, "bytes": [72, 101, 108, 108, 111]},
    {"token": "Hi", "logprob": -1.3190403, "bytes": [72, 105]}]},
  {"token": " there", "logprob": -4.25, "bytes": [32, 116, 104, 101, 114, 101], "top_logprobs": [
    {"token": "!", "logprob": -0.02380986, "bytes": [33]},
    {"token": " World", "logprob": -9999.0, "bytes": [32, 87, 111, 114, 108, 100]}]}]}}]}
""")["choices"][0]["logprobs"]["content"]
TOKEN_IDS = {"Hello": 9906, "Hi": 13347, "!": 0, " there": 1070, " World": 4435}

PROMPT = json.loads("""
[null,
 {"15043": {"logprob": -7.584228515625, "rank": 812, "decoded_token": "Hello"},
  "917": {"logprob": -2.512939214706421, "rank": 1, "decoded_token": "def"},
  "29871": {"logprob": -2.75, "rank": 2, "decoded_token": ""}},
 {"29892": {"logprob": -1.4937736988067627, "rank": 1, "decoded_token": ","},
  "29991": {"logprob": -1.75, "rank": 2, "decoded_token": "!"}},
 {"306": {"logprob": -1.3464678525924683, "rank": 1, "decoded_token": "I"},
  "590": {"logprob": -1.8308428525924683, "rank": 2, "decoded_token": "my"}},
 {"1024": {"logprob": -0.11963547021150589, "rank": 1, "decoded_token": "name"},
  "4900": {"logprob": "-inf", "rank": 2, "decoded_token": "friend"}}]
""")
SEQUENCE = [1, 15043, 29892, 590, 1024]
LABELS = [UNLABELLED, 29892, 590, 1024, UNLABELLED]
"""Position t predicts the token at t + 1; the first prediction does not count."""


def require(found: SparseLogits, expected: list[dict[int, float]]) -> None:
    """Tokens that are not ruled out with their log-probabilities, and the tail that makes the mass 1."""
    assert found.rows == len(expected)
    for ids_K, log_probs_K, tail, named in zip(
        found.ids_SK.tolist(), found.log_probs_SK.tolist(), found.tail_S.tolist(), expected, strict=True
    ):
        kept = {token: value for token, value in zip(ids_K, log_probs_K, strict=True) if value > -math.inf}
        assert kept == pytest.approx(named, rel=1e-6)
        assert len(set(ids_K)) == len(ids_K)
        left = 1 - sum(math.exp(value) for value in named.values())
        assert tail == pytest.approx(math.log(max(left, 2**-24)), rel=1e-4)


def test_generated_tokens_of_a_chat() -> None:
    found = from_top_logprobs(CHAT, top_k=3, vocabulary=VOCABULARY, token_ids=TOKEN_IDS)
    require(
        found,
        [{9906: -0.31725305, 13347: -1.3190403}, {0: -0.02380986, 1070: -4.25, 4435: -9999.0}],
    )
    assert (found.vocabulary, found.temperature) == (VOCABULARY, 1.0)
    assert (found.ids_SK.dtype, found.log_probs_SK.dtype) == (torch.int64, torch.float32)


def test_the_likeliest_are_kept_and_the_rest_goes_to_the_tail() -> None:
    found = from_top_logprobs(CHAT, top_k=1, vocabulary=VOCABULARY, token_ids=TOKEN_IDS)
    require(found, [{9906: -0.31725305}, {0: -0.02380986}])


def test_only_the_lists_of_a_chat() -> None:
    lists = [position["top_logprobs"] for position in CHAT]
    found = from_top_logprobs(lists, top_k=2, vocabulary=VOCABULARY, token_ids=TOKEN_IDS)
    require(found, [{9906: -0.31725305, 13347: -1.3190403}, {0: -0.02380986, 4435: -9999.0}])


def test_a_server_that_writes_ids() -> None:
    position = [{"token": "token_id:29892", "logprob": -0.5}, {"token": "token_id:2", "logprob": -1.5}]
    expected = [{29892: -0.5, 2: -1.5}]
    require(from_top_logprobs([position], top_k=2, vocabulary=VOCABULARY), expected)
    completion = {"token_id:29892": -0.5, "token_id:2": -1.5}
    require(from_top_logprobs([completion], top_k=2, vocabulary=VOCABULARY), expected)


def test_a_digit_is_a_text_where_texts_are_given() -> None:
    require(from_top_logprobs([{"7": -0.5}], top_k=1, vocabulary=VOCABULARY), [{7: -0.5}])
    require(from_top_logprobs([{"7": -0.5}], top_k=1, vocabulary=VOCABULARY, token_ids={"7": 12}), [{12: -0.5}])


@pytest.mark.parametrize(
    "position",
    [[{"token": "7", "logprob": -0.5}], {"the": -0.5}, [{"token": "token_id:x", "logprob": -0.5}]],
    ids=["list", "dictionary", "prefix"],
)
def test_a_text_without_an_id_is_refused(position: Any) -> None:
    with pytest.raises(DataError, match=r"has the token .*--return-tokens-as-token-ids"):
        from_top_logprobs([position], top_k=1, vocabulary=VOCABULARY)


def test_supervised_positions_of_a_prompt() -> None:
    found = from_prompt_logprobs(PROMPT, LABELS, top_k=2, vocabulary=VOCABULARY)
    require(
        found,
        [
            {29892: -1.4937736988067627, 29991: -1.75},
            {306: -1.3464678525924683, 590: -1.8308428525924683},
            {1024: -0.11963547021150589},
        ],
    )


def test_the_first_prediction_is_that_of_the_second_token() -> None:
    labels = [15043, *LABELS[1:]]
    found = from_prompt_logprobs(PROMPT, labels, top_k=2, vocabulary=VOCABULARY)
    assert found.rows == 4
    likeliest = from_prompt_logprobs(PROMPT, labels, top_k=1, vocabulary=VOCABULARY)
    assert likeliest.ids_SK[:, 0].tolist() == [917, 29892, 306, 1024]


def test_the_objects_of_vllm() -> None:
    @dataclass
    class Logprob:
        logprob: float
        rank: int | None = None
        decoded_token: str | None = None

    objects = [None] + [
        {int(token): Logprob(float(each["logprob"]), each["rank"]) for token, each in position.items()}
        for position in PROMPT[1:]
    ]
    ours = from_prompt_logprobs(objects, LABELS, top_k=2, vocabulary=VOCABULARY)
    theirs = from_prompt_logprobs(PROMPT, LABELS, top_k=2, vocabulary=VOCABULARY)
    assert torch.equal(ours.ids_SK, theirs.ids_SK)
    assert torch.equal(ours.log_probs_SK, theirs.log_probs_SK)


def test_a_sequence_where_nothing_counts() -> None:
    found = from_prompt_logprobs(PROMPT, [UNLABELLED] * 5, top_k=2, vocabulary=VOCABULARY)
    assert (found.ids_SK.shape, found.tail_S.shape) == ((0, 2), (0,))


@pytest.mark.parametrize(
    ("prompt_logprobs", "labels", "message"),
    [
        (PROMPT[1:], LABELS, "sequence of 5 tokens have 5 elements, the first of them None; these are 4"),
        (PROMPT[1:], LABELS[1:], "first of them None; these are 4, beginning with"),
        (PROMPT[:-1], LABELS, "these are 4"),
        (PROMPT, [UNLABELLED, UNLABELLED, 29892, 590, 1024], "element 3 .* does not include the actual token 29892"),
        (PROMPT, SEQUENCE, "element 1 .* does not include the actual token 1:"),
        (PROMPT, [UNLABELLED] * 4 + [2], "the last of the sequence, should predict token 2"),
        ([None, PROMPT[1], None, *PROMPT[3:]], LABELS, "element 2 of the server's list is None"),
    ],
    ids=["without None", "both shortened", "cut", "unshifted labels", "token ids", "past the end", "a hole"],
)
def test_lists_that_are_not_of_this_sequence(prompt_logprobs: list[Any], labels: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_prompt_logprobs(prompt_logprobs, labels, top_k=2, vocabulary=VOCABULARY)


@pytest.mark.parametrize(
    ("position", "message"),
    [
        ({}, "sum to 0:"),
        ({3: -math.inf}, "sum to 0:"),
        ({3: math.nan}, "sum to nan"),
        ({3: 2.5, 4: 0.1}, "expected log-probabilities"),
        ({3: -0.1, 4: -0.2}, "sum to 1.7"),
        ({32000: -0.1}, "has token 32000"),
        ({-1: -0.1}, "or a negative one"),
        ([{"token": "\ufffd", "logprob": -1.0}, {"token": "\ufffd", "logprob": -2.0}], "has a token twice"),
        ("Hello", "element 1 of the server's list is 'Hello'"),
    ],
    ids=["empty", "ruled out", "nan", "logits", "too much", "above", "negative", "twice", "text"],
)
def test_what_is_no_distribution_is_refused(position: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_top_logprobs([{1: -0.5}, position], top_k=2, vocabulary=VOCABULARY, token_ids={"\ufffd": 5})


@pytest.mark.parametrize(
    "position",
    [
        {"3": "much"}, {"3": None}, {"3": {}}, {"3": {"logprob": []}}, {"3": -(10**400)}, {None: -1.0},
        {"9" * 4000: -1.0}, {"9" * 5000: -1.0}, [3], [{}], [{"token": 3, "logprob": -1.0}],
        [{"token": "a", "logprob": "x"}], 7, 0.5, True, "x" * 10**6,
        {"top_logprobs": None}, {"top_logprobs": [{}]}, {"top_logprobs": [], "token": "a"}, [["a", -1.0]],
        {"x\x1b" * 10**5: -1.0},
    ],
)  # fmt: skip
def test_a_position_of_any_kind_is_refused_in_one_line(position: Any) -> None:
    with pytest.raises(DataError, match=r"of the server's (list|answer)") as caught:
        from_top_logprobs([position], top_k=2, vocabulary=VOCABULARY, token_ids={"a": 5})
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()


def test_places_without_a_token_are_filled_with_others() -> None:
    found = from_top_logprobs([{0: -1.0, 2: -1.2}, {5: -0.5}], top_k=4, vocabulary=VOCABULARY)
    require(found, [{0: -1.0, 2: -1.2}, {5: -0.5}])
    assert found.log_probs_SK.isneginf().sum(dim=1).tolist() == [2, 3]


def test_rounding_leaves_a_tail_that_is_small_and_finite() -> None:
    found = from_top_logprobs([{"3": 0.0}, {"3": -1e-9, "4": -17.0}], top_k=2, vocabulary=VOCABULARY)
    assert found.tail_S.tolist() == pytest.approx([math.log(2**-24)] * 2)


def test_a_whole_vocabulary_has_no_tail() -> None:
    found = from_top_logprobs([{"0": math.log(0.25), "1": math.log(0.75)}], top_k=2, vocabulary=2)
    assert found.tail_S.tolist() == [-math.inf]


@pytest.mark.parametrize("precision", ["compact", "exact"])
def test_they_go_into_a_store(tmp_path: Path, precision: Any) -> None:
    served = from_prompt_logprobs(PROMPT, LABELS, top_k=4, vocabulary=VOCABULARY)
    made_with = Fingerprint("served", "tokenizer", "", VOCABULARY, 4, precision=precision)
    with StoreWriter(tmp_path, made_with) as writer:
        writer.append("row", served)
    found = TokenStore.open(tmp_path).read(["row"])
    order_SK = served.ids_SK.argsort(dim=1)
    assert torch.equal(found.ids_SK, served.ids_SK.gather(1, order_SK))
    np.testing.assert_allclose(found.log_probs_SK, served.log_probs_SK.gather(1, order_SK), atol=1e-4)
    assert torch.equal(found.tail_S, served.tail_S)
