"""What comes back from a chat teacher: an answer, or a failure with its kind. Never an empty string."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from limbeck.teachers.chat.request import ChatRequest
from limbeck.teachers.chat.said import excerpt

__all__ = ["Answer", "Failure", "FailureKind", "Outcome", "TokenLogProb", "read_choice"]

FailureKind = Literal[
    "refused",  # the API's content filter, or the model in the field meant for refusals
    "truncated",  # it reached max_tokens before its end
    "empty",  # nothing, or only white space
    "malformed",  # not what the API promises, or ended for an unknown reason
    "wrong_model",  # the API answered with another model than before
    "rejected",  # the API does not accept this request (4xx)
    "rate_limited",  # still 429 after all tries, or asked to wait too long
    "server_error",  # still 5xx after all tries, or broke off midway
    "timeout",
    "connection",  # could not connect, or the answer was cut
    "over_budget",  # not sent: its worst case would exceed the ceiling
]


_GOOD_ENDS = {"stop", "eos", "eos_token", "end_turn", "stop_sequence"}
_FULL = {"length", "max_tokens", "model_length"}
_BROKEN_OFF = {"error", "network_error", "server_error", "insufficient_system_resource", "abort"}
"""Reasons why an answer ended, in lower case. An answer with any other reason may be incomplete, or a notice in its
place; it must not be trained on."""


@dataclass(frozen=True)
class TokenLogProb:
    """A token of an answer with its natural log-probability and its most likely alternatives."""

    token: str
    log_prob: float | None
    """None for the first token of an echoed prompt."""
    top: tuple[tuple[str, float], ...] = ()
    """Tokens and log-probabilities, most likely first; the token itself is usually among them."""


@dataclass(frozen=True)
class Answer:
    """The teacher's answer."""

    text: str
    """Contains at least one character other than white space."""
    finish_reason: str
    served_model: str
    """The model's name in the answer."""
    log_probs: tuple[TokenLogProb, ...] = ()
    """Empty if none were requested."""
    reasoning: str | None = None
    """The model's reasoning, if the API has a separate field for it. Not for training."""


@dataclass(frozen=True)
class Failure:
    """The reason why there is no answer."""

    kind: FailureKind
    detail: str
    text: str | None = None
    """What came, if anything: half an answer, a refusal. Not for training."""
    log_probs: tuple[TokenLogProb, ...] = ()
    reasoning: str | None = None
    """As in `Answer`."""
    asked_again: bool = False
    """Whether the answer itself failed: it is not kept, though it may have been paid for, and is requested again."""


Outcome = Answer | Failure


def read_choice(choice: Mapping[str, Any], request: ChatRequest, served_model: str) -> Outcome:
    """Judge one element of the API's ``choices``. Never raises on what a server can send."""
    message = choice.get("message") if request.messages else choice
    error = choice.get("error")
    if not isinstance(message, Mapping):
        if error:
            return Failure("server_error", "broke off with an error", asked_again=True)
        return Failure("malformed", "the answer has no message")
    text, reasoning = _texts(message, "content" if request.messages else "text")
    refusal = message.get("refusal")
    if text is not None and not isinstance(text, str):
        return Failure("malformed", f"the answer's text is {type(text).__name__}, not a string")
    text = _whole_characters(text) if text else None
    given = choice.get("finish_reason")
    end = given.strip().lower() if isinstance(given, str) else None
    log_probs = _read_log_probs(choice.get("logprobs"), chat=bool(request.messages)) or ()

    def failed(kind: FailureKind, detail: str, *, asked_again: bool = False) -> Failure:
        return Failure(kind, detail, text, log_probs, reasoning, asked_again)

    if end == "content_filter":
        return failed("refused", "stopped by the API's content filter")
    if isinstance(refusal, str) and refusal:
        return Failure("refused", "the model refused", _whole_characters(refusal), log_probs, reasoning)
    if error or end in _BROKEN_OFF:
        return failed("server_error", f"broke off (finish reason: {excerpt(str(given))})", asked_again=True)
    thinking = ", in the middle of its reasoning" if reasoning and text is None else ""
    if end in _FULL and not request.truncated_ok:
        return failed("truncated", f"reached max_tokens ({request.max_tokens}) before its end{thinking}")
    if end is None:
        return failed("malformed", "the answer has no finish_reason, so it may be incomplete", asked_again=True)
    if end not in _GOOD_ENDS | _FULL:
        detail = f"ended for an unknown reason (finish reason: {excerpt(str(given))})"
        return failed("malformed", detail, asked_again=True)
    if text is None or not text.strip():
        return failed("empty", f"{'only reasoning' if reasoning else 'no text'} (finish reason: {given})")
    if request.top_log_probs is not None and not log_probs:
        return failed("malformed", "log-probabilities were requested, but none that can be read came")
    return Answer(text, str(given), served_model, log_probs, reasoning)


def _texts(message: Mapping[str, Any], field: str) -> tuple[Any, str | None]:
    """Return the model's answer and its reasoning, which is in a separate field or in parts of the content."""
    content = message.get(field)
    thoughts = [message.get(name) for name in ("reasoning_content", "reasoning")]
    if _in_parts(content):
        thoughts.append(_joined([part.get("thinking") for part in content]))
        content = _joined([part.get("text") for part in content])
    thought = next((words for words in thoughts if isinstance(words, str) and words), None)
    return content, None if thought is None else _whole_characters(thought)


def _in_parts(value: Any) -> TypeGuard[list[Mapping[str, Any]]]:
    return isinstance(value, list) and bool(value) and all(isinstance(p, Mapping) and "type" in p for p in value)


def _joined(values: list[Any]) -> str:
    texts = (_joined([part.get("text") for part in value]) if _in_parts(value) else value for value in values)
    return "".join(text for text in texts if isinstance(text, str))


def _whole_characters(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON can hold but UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _read_log_probs(value: Any, *, chat: bool) -> tuple[TokenLogProb, ...] | None:
    """Return log-probabilities in either of the API's two forms, or None if there are none or they are broken."""
    if not isinstance(value, Mapping):
        return None
    try:
        return _of_chat(value) if chat else _of_completion(value)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        return None


def _of_chat(value: Mapping[str, Any]) -> tuple[TokenLogProb, ...]:
    return tuple(
        TokenLogProb(
            token=_token(item["token"]),
            log_prob=_log_prob(item["logprob"]),
            top=_sorted((_token(other["token"]), _log_prob(other["logprob"])) for other in item["top_logprobs"] or ()),
        )
        for item in value["content"]
    )


def _of_completion(value: Mapping[str, Any]) -> tuple[TokenLogProb, ...]:
    tokens = value["tokens"]
    tops = value.get("top_logprobs") or [None] * len(tokens)
    return tuple(
        TokenLogProb(
            token=_token(token),
            log_prob=None if log_prob is None else _log_prob(log_prob),
            top=_sorted((_token(other), _log_prob(number)) for other, number in (top or {}).items()),
        )
        for token, log_prob, top in zip(tokens, value["token_logprobs"], tops, strict=True)
    )


def _sorted(pairs: Any) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(pairs, key=lambda pair: -pair[1]))


def _token(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a token must be a string")
    return _whole_characters(value)


def _log_prob(value: Any) -> float:
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        number = -math.inf if value < 0 else math.inf
    if math.isnan(number) or number > 1e-3:  # rounding may leave a little above 0
        raise ValueError("a log-probability must be at most 0")
    return min(number, 0.0)
