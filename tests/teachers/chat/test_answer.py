"""What the API's choices mean: an answer, or a failure of a kind. Never an empty string."""

from __future__ import annotations

import dataclasses
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


@pytest.mark.parametrize("end", ["stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence"])
def test_good_ends(end: str) -> None:
    assert read_choice(chat("risk", end), CHAT, "m") == Answer("risk", end, "m")
    assert isinstance(read_choice({"text": "risk", "finish_reason": end}, PLAIN, "m"), Answer)


@pytest.mark.parametrize("end", ["length", "max_tokens", "MAX_TOKENS", "model_length"])
def test_ends_at_a_limit(end: str) -> None:
    outcome = read_choice(chat("Not risk but", end), CHAT, "m")
    assert outcome == Failure("truncated", "reached max_tokens (9) before its end", "Not risk but")
    first = ChatRequest((Message("user", "x"),), max_tokens=1, truncated_ok=True)
    assert read_choice(chat("A", end), first, "m") == Answer("A", end, "m")


@pytest.mark.parametrize(
    ("end", "kind"),
    [("error", "server_error"), ("ERROR", "server_error"), ("network_error", "server_error"),
     ("insufficient_system_resource", "server_error"), ("abort", "server_error"), ("SAFETY", "malformed"),
     ("sensitive", "malformed"), ("tool_calls", "malformed"), ("", "malformed"), (None, "malformed"), (7, "malformed"),
     (["stop"], "malformed"), ("x" * 10**6, "malformed"), ("\x1b]0;stop\x07", "malformed")],
)  # fmt: skip
def test_any_other_end_is_a_failure_that_is_not_kept(end: Any, kind: str) -> None:
    for choice, request in ((chat("risk", end), CHAT), ({"text": "risk", "finish_reason": end}, PLAIN)):
        outcome = read_choice(choice, request, "m")
        assert isinstance(outcome, Failure)
        assert (outcome.kind, outcome.text, outcome.asked_again) == (kind, "risk", True)
        assert outcome.detail.isprintable()
        assert len(outcome.detail) < 500
        request = dataclasses.replace(request, truncated_ok=True, top_log_probs=None)
        assert isinstance(read_choice(choice, request, "m"), Failure)


@pytest.mark.parametrize("choice", [chat("risk") | {"error": {"code": 502}}, {"error": "no", "finish_reason": "stop"}])
def test_a_choice_with_an_error_is_none(choice: dict[str, Any]) -> None:
    outcome = read_choice(choice, CHAT, "m")
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.asked_again) == ("server_error", True)
    assert read_choice(chat("risk") | {"error": None}, CHAT, "m") == Answer("risk", "stop", "m")


@pytest.mark.parametrize("kept", [chat("a", "length"), chat("a", "content_filter"), chat(""), chat(["yes"]), {}])
def test_other_failures_are_kept(kept: dict[str, Any]) -> None:
    outcome = read_choice(kept, CHAT, "m")
    assert isinstance(outcome, Failure)
    assert not outcome.asked_again


PARTS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "Is it "}, {"type": "text", "text": "safe?"}]},
    {"type": "text", "text": "ri"},
    {"type": "text", "text": "sk"},
]


@pytest.mark.parametrize(
    "message",
    [{"content": "risk", "reasoning_content": "Is it safe?"}, {"content": "risk", "reasoning": "Is it safe?"},
     {"content": "risk", "reasoning_content": "", "reasoning": "Is it safe?"}, {"content": PARTS},
     {"content": [{"type": "thinking", "thinking": "Is it safe?"}, {"type": "text", "text": "risk"}]}],
)  # fmt: skip
def test_thoughts_are_recorded_and_are_no_answer(message: dict[str, Any]) -> None:
    choice = {"message": message, "finish_reason": "stop"}
    assert read_choice(choice, CHAT, "m") == Answer("risk", "stop", "m", reasoning="Is it safe?")


def test_thoughts_alone_are_no_answer() -> None:
    cut = read_choice(chat("", "length", reasoning_content="It is \ud83d"), CHAT, "m")
    assert isinstance(cut, Failure)
    assert (cut.kind, cut.text, cut.reasoning) == ("truncated", None, "It is \ufffd")
    assert cut.detail == "reached max_tokens (9) before its end, in the middle of its reasoning"
    done = read_choice(chat(None, reasoning="risk"), CHAT, "m")
    assert isinstance(done, Failure)
    assert (done.kind, done.detail) == ("empty", "only reasoning (finish reason: stop)")


@pytest.mark.parametrize("parts", [[{"type": "image", "url": "x"}], [{"type": "text", "text": 3}], [{"type": "text"}]])
def test_parts_without_a_text_are_no_answer(parts: list[Any]) -> None:
    outcome = read_choice(chat(parts), CHAT, "m")
    assert isinstance(outcome, Failure)
    assert outcome.kind == "empty"


def test_a_log_probability_of_any_size_is_read() -> None:
    """Journals of earlier versions hold integers that are no floats."""
    tops = [{"token": "b", "logprob": -(10**400)}, {"token": "a", "logprob": -1}]
    item = {"token": "a", "logprob": -1, "top_logprobs": tops}
    asks = ChatRequest((Message("user", "x"),), top_log_probs=2)
    outcome = read_choice(chat("a") | {"logprobs": {"content": [item]}}, asks, "m")
    assert isinstance(outcome, Answer)
    assert outcome.log_probs == (TokenLogProb("a", -1.0, (("a", -1.0), ("b", -math.inf))),)
    item["logprob"] = 10**400
    assert isinstance(read_choice(chat("a") | {"logprobs": {"content": [item]}}, asks, "m"), Failure)


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
    st.none() | st.booleans() | st.integers() | st.just(-(10**400)) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["content", "token", "type", "text", "reasoning", "x"]), inner)
    ),
    max_leaves=6,
)


def test_equal_spellings_stay_apart() -> None:
    wanted = ChatRequest((Message("user", "x"),), top_log_probs=3)
    top = [{"token": token, "logprob": number, "bytes": None} for token, number in (("A", -0.1), ("B", -3), ("A", -5))]
    read = read_choice(chat("A") | {"logprobs": {"content": [{**top[0], "top_logprobs": top}]}}, wanted, "m")
    assert isinstance(read, Answer)
    assert read.log_probs[0].top == (("A", -0.1), ("B", -3.0), ("A", -5.0))


FIELDS = ("message", "text", "finish_reason", "logprobs", "error")


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON)))
def test_nothing_that_a_server_can_send_raises_or_gives_an_empty_answer(choice: dict[str, Any]) -> None:
    for request in (CHAT, PLAIN):
        outcome = read_choice(choice, request, "m")
        assert isinstance(outcome, Failure) or outcome.text.strip()
