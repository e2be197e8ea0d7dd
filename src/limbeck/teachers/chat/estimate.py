"""Estimating the cost of requests before any is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from limbeck.teachers.chat.calls import plan_calls
from limbeck.teachers.chat.endpoint import ChatEndpoint
from limbeck.teachers.chat.request import ChatRequest
from limbeck.types import BYTES_A_TOKEN

__all__ = ["Estimate", "estimate"]


@dataclass(frozen=True)
class Estimate:
    """The number of calls and tokens, and what they may cost."""

    calls: int
    prompt_tokens: int
    """Estimated from the length in bytes: about four per token."""
    answer_tokens: int
    """If every answer has its maximum length."""
    usd: float | None
    """With answers of maximum length; None without prices."""


def estimate(endpoint: ChatEndpoint, requests: Sequence[ChatRequest]) -> Estimate:
    """Estimate the cost of requests without answers in a journal; equal ones are sent once."""
    settled = map(endpoint.settled, requests)
    asked = {(r.content_hash(endpoint.kind, endpoint.model), r.sample): r for r in settled}
    calls = plan_calls(asked, endpoint.samples_per_call)
    prompt_tokens = sum(call.request.size_bytes() for call in calls) // BYTES_A_TOKEN
    answer_tokens = sum(call.request.max_tokens * len(call.samples) for call in calls)
    usd = endpoint.usd(prompt_tokens, answer_tokens) if endpoint.prices else None
    return Estimate(len(calls), prompt_tokens, answer_tokens, usd)
