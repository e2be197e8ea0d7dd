"""The meaning of server errors: whether they are transient, affect every call, and may have been charged for.

Errors come with a status, or with status 200 and the error in the body, as many gateways send them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from limbeck.teachers.chat.answer import FailureKind
from limbeck.teachers.chat.retry import retry_after_s
from limbeck.teachers.chat.said import excerpt

__all__ = ["SaidError", "Trouble", "advice", "error_in", "said_error", "trouble_of"]

_PASSING = {408, 409, 425, 429}
"""Statuses after which the same call may succeed, as well as 500 and above."""
_FATAL = {401, 402, 403, 404}
"""Statuses that every other call would get too: no valid key, no money, no such model or address."""
_NEVER_TAKEN = {"unsupported_value", "unsupported_parameter"}
"""Codes of 400 about a setting, which is the same in every call."""
_STATUS_OF_NAME = {
    "authentication_error": 401, "invalid_api_key": 401, "unauthenticated": 401, "unauthorized": 401,
    "insufficient_quota": 402, "insufficient_credits": 402, "insufficient_balance": 402, "payment_required": 402,
    "billing_error": 402, "permission_error": 403, "permission_denied": 403, "forbidden": 403,
    "not_found": 404, "not_found_error": 404, "model_not_found": 404,
    "invalid_request_error": 400, "invalid_argument": 400, "bad_request": 400, "content_filter": 400,
    "context_length_exceeded": 400, "unsupported_value": 400, "unsupported_parameter": 400,
    "deadline_exceeded": 408, "rate_limit_error": 429, "rate_limit_exceeded": 429, "resource_exhausted": 429,
    "too_many_requests": 429, "overloaded_error": 529,
}  # fmt: skip
"""APIs' names for HTTP errors. Others with status 200 count as transient server errors."""
_STATUS_IN_TEXT = re.compile(r"(?:^|\b(?:error|code|status|HTTP)\b)[\s:=(/\"']{0,4}([45]\d\d)\b", re.IGNORECASE)
_CODES = ("code", "status", "status_code", "type")
_MESSAGES = ("message", "detail", "msg")
_NO_ERROR = {"0", "200", "ok", "success"}
_ADVICE = (
    (("temperature",), "Set teacher.api.temperature to a value that the model accepts, or to null to send none"),
    (("max_tokens", "max_completion_tokens"), "Set teacher.api.limit_field: max_completion_tokens"),
    (("max_tokens",), "Set teacher.api.max_tokens to a value that the model accepts"),
    (("max_completion_tokens",), "Set teacher.api.max_tokens to a value that the model accepts"),
    (("reasoning", "effort"), "Set teacher.api.reasoning_effort to a value that the model accepts"),
    (("logprob",), "Set teacher.api.log_probs: 0, so that labels are sampled"),
)
"""The key to set, by words in the error."""


@dataclass(frozen=True)
class Trouble:
    """A call without an answer."""

    kind: FailureKind
    detail: str
    status: int | None = None
    """The HTTP status, or the body's equivalent."""
    may_pass: bool = True
    fatal: bool = False
    """Whether any other call would fail as well."""
    unreachable: bool = False
    """Whether there was no connection: refused, unknown host, untrusted certificate."""
    charged: bool = False
    """Whether the provider may have charged for it: it was sent, and the server did not report a failure."""
    usage: tuple[int, int] | None = None
    """Tokens of prompt and answer that were charged for, if the API reports them."""
    retry_after_s: float | None = None


@dataclass(frozen=True)
class SaidError:
    """An error as reported in a body."""

    message: str
    codes: frozenset[str] = frozenset()
    """Numbers and names, in lower case."""

    @property
    def status(self) -> int | None:
        """The HTTP status that its codes, or its words, correspond to."""
        for code in sorted(self.codes):  # numbers first
            if code.isascii() and code.isdigit() and 400 <= int(code[:4]) <= 599:
                return int(code)
            if code in _STATUS_OF_NAME:
                return _STATUS_OF_NAME[code]
        found = _STATUS_IN_TEXT.search(self.message)
        return int(found[1]) if found else None


def said_error(value: Any, text: str) -> SaidError:
    """Return the error in a body with an error status: an object, a text, a name or a number, alone, in a list, or
    with a message; otherwise the body's text."""
    body = _first(value)
    body = body if isinstance(body, Mapping) else {}
    error = _first(body.get("error") or body.get("errors"))
    own = error if isinstance(error, Mapping) else {}
    codes = {_code(part.get(name)) for part in (own, body) for name in _CODES} | {_code(error)}
    messages = [part.get(name) for part in (own, body) for name in _MESSAGES]
    messages += [error, own.get("message"), text]
    words = next((one for one in messages if isinstance(one, str) and one), "")
    return SaidError(excerpt(words), frozenset(codes - {""}))


def error_in(value: Any, text: str) -> SaidError | None:
    """Return the error in a body, or in an element of its ``choices``, whose status does not show it.

    >>> error_in({"error": {"code": 402, "message": "Insufficient credits"}}, "").status
    402
    """
    found, body = said_error(value, text), _first(value)
    if not isinstance(body, Mapping) or (found.codes and found.codes <= _NO_ERROR):
        return None
    alone = not body.get("choices")
    plain = body.get("error") or "error" in (body.get(name) for name in ("object", *_CODES))
    plain = plain or (alone and (body.get("errors") or body.get("success") is False))
    return found if plain or (alone and "choices" not in body and found.status) else None


def trouble_of(
    http_status: int,
    error: SaidError,
    retry_after: str | None,
    *,
    charged: bool = False,
    usage: tuple[int, int] | None = None,
) -> Trouble:
    """Return the meaning of an error. With status 200, its code is treated as a status.

    Args:
        http_status: status of the answer.
        error: the error in its body.
        retry_after: the header ``Retry-After``.
        charged: see `Trouble`.
        usage: see `Trouble`.
    """
    status = http_status if http_status != 200 else error.status or 200
    said = f"HTTP {http_status}"
    if http_status == 200:
        said += f" with error {error.status} in its body" if error.status else " with an error in its body"
    detail = said + (f": {error.message}" if error.message else "")

    made = Trouble("rejected", detail, status, may_pass=False, charged=charged, usage=usage)
    if "insufficient_quota" in error.codes or status in _FATAL:
        return replace(made, fatal=True)
    if status in _PASSING or status >= 500 or http_status == status == 200:
        kinds: dict[int, FailureKind] = {429: "rate_limited", 408: "timeout"}
        wait_s = retry_after_s(retry_after, time.time())
        return replace(made, kind=kinds.get(status, "server_error"), may_pass=True, retry_after_s=wait_s)
    if status < 400:
        elsewhere = "; expected 200. base_url may belong to another service, or redirect, which is not followed"
        return replace(made, detail=detail + elsewhere, fatal=True)
    if "content_filter" in error.codes:
        return replace(made, kind="refused")
    return replace(made, fatal=bool(_NEVER_TAKEN & error.codes))


def advice(said: str) -> str | None:
    """Return the endpoint's key to set, from an error's words; None if it names no setting."""
    said = said.lower()
    return next((words for signs, words in _ADVICE if all(sign in said for sign in signs)), None)


def _first(value: Any) -> Any:
    """Return a value, or the first of a list, since some APIs put errors into a list."""
    return next(iter(value), None) if isinstance(value, list) else value


def _code(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return text.strip().lower() if len(text) <= 40 else ""
