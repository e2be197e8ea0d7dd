"""The HTTP calls that answer a set of requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from limbeck.teachers.chat.request import ChatRequest

__all__ = ["Call", "Key", "plan_calls"]

Key = tuple[str, int]
"""Content hash and sample: the key of an answer."""


@dataclass
class Call:
    """One planned call, for one or several samples of a request."""

    content_hash: str
    request: ChatRequest
    samples: tuple[int, ...]
    tries: int = 0
    """Times it was sent."""

    def keys(self, samples: Iterable[int] | None = None) -> list[Key]:
        """Return the keys of `samples`; by default of all."""
        return [(self.content_hash, sample) for sample in (self.samples if samples is None else samples)]


def plan_calls(missing: Mapping[Key, ChatRequest], samples_per_call: int) -> list[Call]:
    """Group samples of one request, as many as one call may ask for, in the order of the requests.

    A request with a seed gets a call for each sample, because each has its own seed.
    """
    calls: list[Call] = []
    open_calls: dict[str, Call] = {}
    for (content_hash, sample), request in missing.items():
        call = open_calls.get(content_hash)
        if call is None or len(call.samples) >= samples_per_call or request.seed is not None:
            call = open_calls[content_hash] = Call(content_hash, request, ())
            calls.append(call)
        call.samples += (sample,)
    return calls
