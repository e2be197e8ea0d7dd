"""The section of a run file that says where a chat teacher is."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from limbeck.teachers.chat.endpoint import ChatEndpoint, Prices

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
        ({"model": " "}, "model must name"),
        ({"budget_usd": 1.0}, "budget_usd needs prices"),
        ({"concurrency": 0}, "greater than or equal to 1"),
        ({"requests_per_minute": 0}, "greater than or equal to 1"),
        ({"timeout_s": 0}, "greater than 0"),
        ({"api_key": "sk-secret-0123456789"}, "Extra inputs are not permitted"),
    ],
)
def test_faults(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        ChatEndpoint(**(REQUIRED | change))
    assert "sk-secret" not in str(caught.value)
