"""What comes back from a chat teacher: an answer, or a failure that says which kind it is. Never an empty string."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from limbeck.teachers.chat.request import ChatRequest

__all__ = ["Answer", "Failure", "FailureKind", "Outcome", "TokenLogProb", "read_choice"]

FailureKind = Literal[
    "refused",  # the API's content filter, or the model in the field meant for refusals
    "truncated",  # it reached max_tokens before its end
    "empty",  # nothing, or nothing but white space
    "malformed",  # not what the API promises
    "wrong_model",  # the API answered with another model than before
    "rejected",  # the API does not take this request (4xx)
    "rate_limited",  # still 429 after all tries, or asked to wait too long
    "server_error",  # still 5xx after all tries
    "timeout",
    "connection",  # could not connect, or the answer was cut
    "over_budget",  # not sent: its worst case would pass the ceiling
]


@dataclass(frozen=True)
class TokenLogProb:
    """A token of an answer with its natural log-probability and its likeliest alternatives."""

    token: str
    log_prob: float | None
    """None for the first token of an echoed prompt."""
    top: tuple[tuple[str, float], ...] = ()
    """Tokens and log-probabilities, likeliest first; the token itself is usually among them."""


@dataclass(frozen=True)
class Answer:
    """What the teacher said."""

    text: str
    """At least one character that is not white space."""
    finish_reason: str
    served_model: str
    """The model as the answer names it."""
    log_probs: tuple[TokenLogProb, ...] = ()
    """Empty where none were asked for."""


@dataclass(frozen=True)
class Failure:
    """Why there is no answer."""

    kind: FailureKind
    detail: str
    text: str | None = None
    """What came, where something did: half an answer, a refusal. Not for training."""
    log_probs: tuple[TokenLogProb, ...] = ()


Outcome = Answer | Failure


def read_choice(choice: Mapping[str, Any], request: ChatRequest, served_model: str) -> Outcome:
    """Judge one element of the API's ``choices``. Never raises on what a server can send."""
    message = choice.get("message") if request.messages else choice
    if not isinstance(message, Mapping):
        return Failure("malformed", "the answer has no message")
    text = message.get("content" if request.messages else "text")
    refusal = message.get("refusal")
    if text is not None and not isinstance(text, str):
        return Failure("malformed", f"the answer's text is {type(text).__name__}, not a string")
    text = _whole_characters(text) if text else None
    finish_reason = choice.get("finish_reason")
    log_probs = _read_log_probs(choice.get("logprobs"), chat=bool(request.messages))

    def failed(kind: FailureKind, detail: str) -> Failure:
        return Failure(kind, detail, text, log_probs or ())

    if finish_reason == "content_filter":
        return failed("refused", "stopped by the API's content filter")
    if isinstance(refusal, str) and refusal:
        return Failure("refused", "the model refused", _whole_characters(refusal), log_probs or ())
    if finish_reason == "length" and not request.truncated_ok:
        return failed("truncated", f"reached max_tokens ({request.max_tokens}) before its end")
    if not isinstance(finish_reason, str):
        return failed("malformed", "the answer has no finish_reason, so it may be half of one")
    if text is None or not text.strip():
        return failed("empty", f"no text (finish reason: {finish_reason})")
    if request.top_log_probs is not None and not log_probs:
        return failed("malformed", "log-probabilities were asked for, and none came that can be read")
    return Answer(text, finish_reason, served_model, log_probs or ())


def _whole_characters(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _read_log_probs(value: Any, *, chat: bool) -> tuple[TokenLogProb, ...] | None:
    """Return log-probabilities in either of the API's two forms, or None where there are none or they are broken."""
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
        raise TypeError("a token is a string")
    return _whole_characters(value)


def _log_prob(value: Any) -> float:
    number = float(value)
    if math.isnan(number) or number > 1e-3:  # rounding may leave a little above 0
        raise ValueError("a log-probability is at most 0")
    return min(number, 0.0)
