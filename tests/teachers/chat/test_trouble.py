"""An error means the same whether it comes as a status or under status 200."""

from __future__ import annotations

from typing import Any

import pytest

from limbeck.teachers.chat.trouble import SaidError, advice, error_in, said_error, trouble_of


def under_200(value: Any) -> Any:
    error = error_in(value, "")
    return None if error is None else trouble_of(200, error, None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"code": 402, "message": "Insufficient credits"}}, 402),
        ({"error": {"code": "402", "message": "no"}}, 402),
        ({"error": {"code": 402.0, "message": "no"}}, 402),
        ({"error": {"status": 429, "message": "no"}}, 429),
        ({"error": {"status_code": 503}}, 503),
        ({"error": {"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED"}}, 429),
        ({"error": {"status": "RESOURCE_EXHAUSTED"}}, 429),
        ({"error": {"code": None, "type": "authentication_error", "message": "no"}}, 401),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "no"}}, 529),
        ({"error": {"code": "model_not_found"}}, 404),
        ({"error": "rate_limit_exceeded"}, 429),
        ({"error": "Error code: 402 - {'error': 'no credits'}"}, 402),
        ({"error": "HTTP 503 from upstream"}, 503),
        ({"error": 429, "message": "no"}, 429),
        ({"error": True, "code": 401, "message": "no"}, 401),
        ({"error": {"message": "no"}, "status": 403}, 403),
        ({"errors": [{"code": 10000, "message": "Authentication error"}], "success": False}, 200),
        ([{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "no"}}], 400),
        ({"object": "error", "message": "no", "code": 404}, 404),
        ({"code": 429, "message": "too fast"}, 429),
        ({"status": 500, "detail": "no"}, 500),
        ({"status": "error", "message": "no"}, 200),
        ({"error": "out of memory"}, 200),
        ({"success": False, "message": "no"}, 200),
        ({"error": {"code": 1234567890123, "message": "the model wrote 512 tokens"}}, 200),
        ({"error": {"x": 1}, "choices": []}, 200),
        ({"error": {"code": 402}, "choices": None}, 402),
    ],
)  # fmt: skip
def test_errors_in_a_body(body: Any, status: int) -> None:
    found = under_200(body)
    assert found.status == status
    assert found.fatal == (status in (401, 402, 403, 404))
    assert found.may_pass == (status in (200, 429, 529, 500, 503))
    assert not found.charged
    kinds = {200: "server_error", 429: "rate_limited", 500: "server_error", 503: "server_error", 529: "server_error"}
    assert found.kind == kinds.get(status, "rejected")


@pytest.mark.parametrize(
    "body",
    [
        {}, [], None, 3, "error", [[]], {"choices": [1]}, {"error": None, "choices": []}, {"error": {}}, {"error": ""},
        {"error": False}, {"error": {"code": 0, "message": "success"}}, {"error": {"code": "200"}}, {"code": "ok"},
        {"choices": [], "code": 404},
        {"choices": [{"text": "x"}], "errors": ["deprecated"]}, {"success": True},
        {"message": "hello"}, {"object": "chat.completion", "status": "completed"},
    ],
)  # fmt: skip
def test_bodies_without_an_error(body: Any) -> None:
    assert error_in(body, "text") is None


def test_what_is_said_with_a_status() -> None:
    assert said_error({"error": {"message": "a\nb", "code": "X"}}, "") == SaidError("a b", frozenset({"x"}))
    assert said_error({"detail": "no"}, "") == SaidError("no")
    assert said_error({"error": "no"}, "") == SaidError("no", frozenset({"no"}))
    assert said_error(None, "<html>busy") == SaidError("<html>busy")
    assert said_error({"error": {"message": {"x": 1}}}, '{"error": ...}').message == '{"error": ...}'
    assert len(said_error({"error": "x" * 10_000}, "").message) == 300


def test_codes_beside_a_status() -> None:
    """The status stands; the code says what is special about it."""
    quota = trouble_of(429, said_error({"error": {"code": 429, "type": "insufficient_quota"}}, ""), None)
    assert (quota.kind, quota.fatal, quota.status) == ("rejected", True, 429)
    filtered = trouble_of(400, said_error({"error": {"code": "content_filter"}}, ""), None)
    assert (filtered.kind, filtered.fatal) == ("refused", False)
    long = trouble_of(400, said_error({"error": {"code": "context_length_exceeded"}}, ""), None)
    assert (long.kind, long.fatal) == ("rejected", False)
    setting = trouble_of(400, said_error({"error": {"code": "unsupported_value"}}, ""), None)
    assert (setting.kind, setting.fatal) == ("rejected", True), "every other call has the same setting"
    assert trouble_of(500, said_error({"error": {"code": 402}}, ""), None).may_pass
    assert trouble_of(200, SaidError("", frozenset({"429"})), "7").retry_after_s == 7


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("Unsupported value: 'temperature' does not support 0.7 with this model.", "temperature"),
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "limit_field"),
        ("max_tokens is too large: 4096", "max_tokens"),
        ("Invalid max_completion_tokens", "max_tokens"),
        ("reasoning_effort 'none' is not supported", "reasoning_effort"),
        ("You are not allowed to request logprobs", "log_probs"),
        ("maximum context length exceeded", None),
    ],
)
def test_the_advice_names_the_key(said: str, key: str | None) -> None:
    words = advice(said)
    assert (words is None) == (key is None)
    assert words is None or f"Set teacher.api.{key}" in words
