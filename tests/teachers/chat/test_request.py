"""The content hash: the same for what is the same, another for all that could change an answer."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.teachers.chat.request import ChatRequest, Message

REQUEST = ChatRequest((Message("system", "Be brief."), Message("user", "Grüße 🚀")), max_tokens=5)
CHANGES: list[dict[str, Any]] = [
    {"messages": (Message("user", "Be brief."), Message("user", "Grüße 🚀"))},
    {"messages": (Message("system", "Be brief."), Message("user", "Grüße 🚀 "))},
    {"messages": (Message("system", "Be brief.Grüße 🚀"),)},
    {"max_tokens": 6},
    {"sampling_temperature": 0.7},
    {"sampling_temperature": None},
    {"top_p": 0.9},
    {"stop": ("x",)},
    {"seed": 0},
    {"top_log_probs": 0},
    {"top_log_probs": 5},
    {"logit_bias": {"1": 2.0}},
    {"extra": {"response_format": {"type": "json_object"}}},
]


def test_the_hash_is_that_of_the_canonical_json() -> None:
    assert REQUEST.content("chat", "m") == (
        '{"kind":"chat","max_tokens":5,"messages":[["system","Be brief."],["user",'
        '"Gr\\u00fc\\u00dfe \\ud83d\\ude80"]],"model":"m","temperature":0.0}'
    )
    digest = "1c8f14d224c7345a7e33a682d9b2aa9b284c184091f2443c466d3b3ca1fac41e"  # of sha256sum
    assert REQUEST.content_hash("chat", "m") == digest, "journals on users' disks are found by this"


def test_whatever_can_change_an_answer_changes_the_hash() -> None:
    hashes = [REQUEST.content_hash("chat", "m"), REQUEST.content_hash("chat", "n")]
    hashes += [dataclasses.replace(REQUEST, **change).content_hash("chat", "m") for change in CHANGES]
    assert len(set(hashes)) == len(CHANGES) + 2


@pytest.mark.parametrize("change", [{"sample": 3}, {"truncated_ok": True}, {"extra": {}}])
def test_what_asks_for_the_same_shares_a_hash(change: dict[str, Any]) -> None:
    assert dataclasses.replace(REQUEST, **change).content_hash("chat", "m") == REQUEST.content_hash("chat", "m")


def test_the_order_of_options_does_not_matter() -> None:
    one = dataclasses.replace(REQUEST, extra={"a": 1, "b": {"c": 2, "d": 3}}, logit_bias={"1": 1.0, "2": 2.0})
    other = dataclasses.replace(REQUEST, extra={"b": {"d": 3, "c": 2}, "a": 1}, logit_bias={"2": 2.0, "1": 1.0})
    assert one.content_hash("chat", "m") == other.content_hash("chat", "m")


def test_half_a_surrogate_pair_can_be_asked_and_sent() -> None:
    request = ChatRequest((Message("user", "\ud83d"),))
    assert json.loads(request.body("chat", "m", "max_tokens", 1))["messages"][0]["content"] == "\ud83d"
    assert request.content_hash("chat", "m")
    assert request.most_prompt_tokens() > 3


@pytest.mark.parametrize("text", ["word " * 50, "🚀" * 40, "資料庫" * 30, "\x00\x01" * 20])
def test_the_bound_on_prompt_tokens_holds_for_a_tokenizer_without_merges(text: str) -> None:
    request = ChatRequest((Message("system", "x"), Message("user", text)))
    tokens_of_a_template = 4 * 2 + 3
    assert request.most_prompt_tokens() >= len(f"systemxuser{text}".encode()) + tokens_of_a_template


def test_the_bound_on_answers_grows_with_all_that_makes_them_long() -> None:
    plain = REQUEST.most_bytes(1)
    assert plain >= 5 * len(json.dumps("🚀" * 16)), "of a token that is 16 signs"
    assert REQUEST.most_bytes(4) == 4 * plain
    with_top = dataclasses.replace(REQUEST, top_log_probs=20).most_bytes(1)
    entry = {"token": "🚀" * 8, "logprob": -12.345678901234567, "bytes": [240] * 32}
    assert with_top >= 5 * 21 * len(json.dumps(entry))
    echo = ChatRequest(prompt="word " * 100, max_tokens=0, top_log_probs=5, extra={"echo": True}, truncated_ok=True)
    assert echo.most_bytes(1) >= 100 * 6 * len(json.dumps(entry)), "the prompt comes back with its log-probabilities"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either messages .* or a prompt"),
        ({"messages": (Message("user", "x"),), "prompt": "x"}, "either messages .* or a prompt"),
        ({"messages": (Message("user", "x"),), "max_tokens": 0}, "max_tokens must be at least 1"),
        ({"prompt": "x", "max_tokens": -1}, "max_tokens"),
        ({"prompt": "x", "sample": -1}, "sample must be at least 0"),
        ({"prompt": "x", "extra": {"n": 2, "model": "other"}}, "extra must not set model, n"),
    ],
)
def test_requests_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ChatRequest(**options)
