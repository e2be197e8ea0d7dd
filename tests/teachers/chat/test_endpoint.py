"""The section of a run file that says where a chat teacher is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from limbeck.teachers.chat.endpoint import ChatEndpoint, Prices
from limbeck.teachers.chat.request import ChatRequest, Message

REQUIRED = {"base_url": "https://api.example.org/v1/", "model": "m"}


def test_addresses() -> None:
    assert ChatEndpoint(**REQUIRED).url == "https://api.example.org/v1/chat/completions"
    assert ChatEndpoint(**REQUIRED, kind="completions").url == "https://api.example.org/v1/completions"


def test_prices_are_for_a_million_tokens() -> None:
    endpoint = ChatEndpoint(**REQUIRED, prices=Prices(input_usd=2.5, output_usd=10))
    assert endpoint.usd(1_000_000, 0) == 2.5
    assert endpoint.usd(400, 100) == pytest.approx(0.002)
    assert ChatEndpoint(**REQUIRED).usd(400, 100) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_url": "api.example.org/v1"}, "base_url must be an address"),
        ({"base_url": "ftp://api.example.org"}, "base_url must be an address"),
        ({"base_url": "https://x/v1\n"}, "without spaces"),
        ({"base_url": "https://x /v1"}, "without spaces"),
        ({"base_url": "https://x:sk-secret-0123456789/v1"}, "port from 1 to 65535"),
        ({"base_url": "https://x:99999/v1"}, "port from 1 to 65535"),
        ({"base_url": "https://x:0/v1"}, "port from 1 to 65535"),
        ({"model": " "}, "model must be the API's name"),
        ({"budget_usd": 1.0}, "budget_usd needs prices"),
        ({"concurrency": 0}, "greater than or equal to 1"),
        ({"requests_per_minute": 0}, "greater than or equal to 1"),
        ({"timeout_s": 0}, "greater than 0"),
        ({"temperature": -1}, "greater than or equal to 0"),
        ({"temperature": float("nan")}, "finite number"),
        ({"temperature": "hot"}, "'usual'"),
        ({"max_tokens": 0}, "greater than or equal to 1"),
        ({"max_tokens": 10**30}, "less than or equal to 10000000"),
        ({"prices": {"input_usd": 1e308, "output_usd": 1}}, "less than or equal to 1000000"),
        ({"prices": {"input_usd": float("nan"), "output_usd": 1}}, "finite number"),
        ({"reasoning_effort": "a lot"}, "should match pattern"),
        ({"api_key": "sk-secret-0123456789"}, "Extra inputs are not permitted"),
    ],
)
def test_faults(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        ChatEndpoint(**(REQUIRED | change))
    assert "sk-secret" not in str(caught.value)


LABEL = ChatRequest((Message("user", "x"),), max_tokens=64, sampling_temperature=0.7)
LETTER = ChatRequest((Message("user", "x"),), max_tokens=1, top_log_probs=5, truncated_ok=True)


def test_without_settings_a_request_stays_as_it_is() -> None:
    endpoint = ChatEndpoint(**REQUIRED)
    assert endpoint.settled(LABEL) is LABEL
    assert endpoint == ChatEndpoint(**endpoint.model_dump(mode="json"))
    assert endpoint.settings == ""


def test_settings_stand_in_place_of_the_usual_ones() -> None:
    endpoint = ChatEndpoint(**REQUIRED, temperature=1, max_tokens=2000, reasoning_effort="low")
    settled = endpoint.settled(LABEL)
    assert (settled.sampling_temperature, settled.max_tokens, settled.extra) == (
        1.0,
        2000,
        {"reasoning_effort": "low"},
    )
    assert json.loads(settled.body("chat", "m", "max_completion_tokens", 1)) == {
        "model": "m", "max_completion_tokens": 2000, "reasoning_effort": "low", "temperature": 1.0,
        "messages": [{"role": "user", "content": "x"}],
    }  # fmt: skip
    letter = endpoint.settled(LETTER)
    assert (letter.max_tokens, letter.sampling_temperature) == (1, 1.0), "one letter is one token"
    assert endpoint.settings == " max_tokens=2000 reasoning_effort=low temperature=1.0"
    assert settled.content_hash("chat", "m") != LABEL.content_hash("chat", "m")


@pytest.mark.parametrize("none", [None, "none", "None"])
def test_none_sends_no_temperature(none: Any) -> None:
    endpoint = ChatEndpoint(**REQUIRED, temperature=none)
    assert endpoint == ChatEndpoint(**endpoint.model_dump(mode="json")), "as the run's record says it"
    settled = endpoint.settled(LABEL)
    assert settled.sampling_temperature is None
    assert "temperature" not in json.loads(settled.body("chat", "m", "max_tokens", 1))
