"""What the API's choices mean: an answer, or a failure of a kind. Never an empty string."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.teachers.chat.answer import Answer, Failure, TokenLogProb, read_choice
from limbeck.teachers.chat.request import ChatRequest, Message

CHAT = ChatRequest((Message("user", "x"),), max_tokens=9)
PLAIN = ChatRequest(prompt="x")


def chat(content: Any, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", "content": content, **more}, "finish_reason": finish}


def test_an_answer() -> None:
    assert read_choice(chat(" yes\n"), CHAT, "m") == Answer(" yes\n", "stop", "m")
    assert read_choice({"text": "yes", "finish_reason": "stop"}, PLAIN, "m") == Answer("yes", "stop", "m")


@pytest.mark.parametrize(
    ("choice", "kind", "text"),
    [
        (chat("half an ans", "length"), "truncated", "half an ans"),
        (chat("", "length"), "truncated", None),
        (chat("I was ab", "content_filter"), "refused", "I was ab"),
        (chat(None, refusal="I cannot help."), "refused", "I cannot help."),
        (chat(""), "empty", None),
        (chat(None), "empty", None),
        (chat(" \n\u3000"), "empty", " \n\u3000"),
        (chat("yes", None), "malformed", "yes"),
        (chat(["yes"]), "malformed", None),
        ({"finish_reason": "stop"}, "malformed", None),
        ({"message": "yes", "finish_reason": "stop"}, "malformed", None),
    ],
)
def test_failures(choice: dict[str, Any], kind: str, text: str | None) -> None:
    outcome = read_choice(choice, CHAT, "m")
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.text) == (kind, text)
    assert outcome.detail


def test_half_a_surrogate_pair_becomes_a_character_that_can_be_written() -> None:
    outcome = read_choice(chat("a\ud83d"), CHAT, "m")
    assert isinstance(outcome, Answer)
    assert outcome.text == "a\ufffd"
    outcome = read_choice(chat("\ud83d\ude80"), CHAT, "m")
    assert isinstance(outcome, Answer)
    assert outcome.text == "🚀"


def test_log_probabilities_of_both_endpoints() -> None:
    items = [
        {"token": "no", "logprob": -2.0, "bytes": None, "top_logprobs": [{"token": "no", "logprob": -2.0},
                                                                         {"token": "yes", "logprob": -0.2}]},
        {"token": "!", "logprob": 1e-7, "top_logprobs": []},
    ]  # fmt: skip
    asks = ChatRequest((Message("user", "x"),), top_log_probs=2)
    outcome = read_choice(chat("no!") | {"logprobs": {"content": items}}, asks, "m")
    assert isinstance(outcome, Answer)
    assert outcome.log_probs == (TokenLogProb("no", -2.0, (("yes", -0.2), ("no", -2.0))), TokenLogProb("!", 0.0))

    values = {
        "tokens": ["x", " no"],
        "token_logprobs": [None, -2.0],
        "top_logprobs": [None, {" yes": -0.2, " no": -2}],
    }
    asks = ChatRequest(prompt="x", top_log_probs=2, max_tokens=0, extra={"echo": True}, truncated_ok=True)
    outcome = read_choice({"text": "x no", "finish_reason": "length", "logprobs": values}, asks, "m")
    assert isinstance(outcome, Answer)
    assert outcome.log_probs == (TokenLogProb("x", None), TokenLogProb(" no", -2.0, ((" yes", -0.2), (" no", -2.0))))


@pytest.mark.parametrize(
    "log_probs",
    [
        None,
        {},
        {"content": None},
        {"content": []},
        {"content": [{"token": "a"}]},
        {"content": [{"token": "a", "logprob": "x", "top_logprobs": []}]},
        {"content": [{"token": "a", "logprob": math.nan, "top_logprobs": []}]},
        {"content": [{"token": "a", "logprob": 0.7, "top_logprobs": []}]},
        {"content": [{"token": 3, "logprob": -0.7, "top_logprobs": []}]},
        [],
    ],
)
def test_log_probabilities_that_were_asked_for_and_cannot_be_read(log_probs: Any) -> None:
    asks = ChatRequest((Message("user", "x"),), top_log_probs=2)
    outcome = read_choice(chat("a") | {"logprobs": log_probs}, asks, "m")
    assert isinstance(outcome, Failure)
    assert outcome.kind == "malformed"
    assert isinstance(read_choice(chat("a") | {"logprobs": log_probs}, CHAT, "m"), Answer)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["content", "token", "x"]), inner),
    max_leaves=6,
)


def test_equal_spellings_stay_apart_and_a_number_beyond_all_floats_is_none() -> None:
    wanted = ChatRequest((Message("user", "x"),), top_log_probs=3)
    top = [{"token": token, "logprob": number, "bytes": None} for token, number in (("A", -0.1), ("B", -3), ("A", -5))]
    read = read_choice(chat("A") | {"logprobs": {"content": [{**top[0], "top_logprobs": top}]}}, wanted, "m")
    assert isinstance(read, Answer)
    assert read.log_probs[0].top == (("A", -0.1), ("B", -3.0), ("A", -5.0))
    huge = {"content": [{"token": "A", "logprob": -(10**400), "top_logprobs": []}]}
    failed = read_choice(chat("A") | {"logprobs": huge}, wanted, "m")
    assert isinstance(failed, Failure)
    assert failed.kind == "malformed"


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("message", "text", "finish_reason", "logprobs"), JSON)))
def test_nothing_that_a_server_can_send_raises_or_gives_an_empty_answer(choice: dict[str, Any]) -> None:
    for request in (CHAT, PLAIN):
        outcome = read_choice(choice, request, "m")
        assert isinstance(outcome, Failure) or outcome.text.strip()
