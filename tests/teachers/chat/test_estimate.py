"""What requests will take: by hand. `tests/tasks/classification/test_anon_run.py` sees that these calls are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from limbeck.teachers.chat.endpoint import ChatEndpoint
from limbeck.teachers.chat.estimate import Estimate, estimate
from limbeck.teachers.chat.request import ChatRequest

PRICES = {"input_usd": 1000.0, "output_usd": 10_000.0}


def api(**options: Any) -> ChatEndpoint:
    return ChatEndpoint(base_url="http://127.0.0.1:9/v1", model="m", **options)


@pytest.mark.parametrize(("samples_per_call", "calls"), [(1, 3), (2, 2), (8, 1)])
def test_a_call_pays_for_its_prompt_once(samples_per_call: int, calls: int, ask: Callable[..., ChatRequest]) -> None:
    requests = [ask("x" * 396, max_tokens=5, sample=sample) for sample in range(3)]
    found = estimate(api(samples_per_call=samples_per_call, prices=PRICES), requests)
    # 396 bytes and the 4 of "user" are 100 tokens.
    assert found == Estimate(calls, 100 * calls, 15, pytest.approx(0.1 * calls + 0.15))


def test_settings_of_the_endpoint_count(ask: Callable[..., ChatRequest]) -> None:
    found = estimate(api(max_tokens=2000, prices=PRICES), [ask("x" * 396, max_tokens=5)])
    assert (found.answer_tokens, found.usd) == (2000, pytest.approx(20.1))


def test_bytes_count_not_letters_and_equal_requests_are_one(ask: Callable[..., ChatRequest]) -> None:
    found = estimate(api(), [ask("п" * 198, max_tokens=1)] * 7)
    assert found == Estimate(1, 100, 1, None)
