"""Requests and tokens per minute: a sliding window, so that no 60 seconds ever exceed the limits."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["RateLimits", "Ticket"]

_WINDOW_S = 60.0


@dataclass
class Ticket:
    """One call in the window."""

    moment_s: float
    tokens: int
    calls: int = 1
    counted: bool = True
    """False once it has left the window."""


class RateLimits:
    """Rate limits that decide when the next call may be sent.

    Args:
        requests_per_minute: maximum calls in any 60 seconds; None for no limit.
        tokens_per_minute: maximum tokens in any 60 seconds; None for no limit. A call that exceeds this on its own is
            sent once the window is empty, since otherwise it never would be.
        clock: seconds, never running backwards.
    """

    def __init__(
        self,
        requests_per_minute: int | None,
        tokens_per_minute: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = requests_per_minute
        self._tokens = tokens_per_minute
        self._clock = clock
        self._window: deque[Ticket] = deque()
        self._calls_now = 0
        self._tokens_now = 0
        self._not_before_s = float("-inf")

    def admit(self, tokens: int) -> Ticket | float:
        """Return a ticket for a call of at most `tokens` tokens, or the seconds to wait before asking again."""
        now = self._clock()
        while self._window and self._window[0].moment_s <= now - _WINDOW_S:
            old = self._window.popleft()
            self._count(-old.calls, -old.tokens)
            old.counted = False
        if now < self._not_before_s:
            return self._not_before_s - now
        too_many = self._calls is not None and self._calls_now >= self._calls
        too_much = self._tokens is not None and self._tokens_now + min(tokens, self._tokens) > self._tokens
        if too_many or too_much:  # a call that turns out small frees room before the oldest leaves: ask again soon
            return max(0.01, min(self._window[0].moment_s + _WINDOW_S - now, 1.0))
        ticket = Ticket(now, tokens)
        self._window.append(ticket)
        self._count(1, tokens)
        return ticket

    def settle(self, ticket: Ticket, tokens: int) -> None:
        """Replace a call's worst case with its actual usage."""
        if ticket.counted:
            self._count(0, tokens - ticket.tokens)
            ticket.tokens = tokens

    def withdraw(self, ticket: Ticket) -> None:
        """Withdraw a ticket whose call was not sent after all."""
        if ticket.counted:
            self._count(-ticket.calls, -ticket.tokens)
            ticket.calls = ticket.tokens = 0

    def pause(self, seconds: float) -> None:
        """Hold all calls for a while, as the server asked."""
        self._not_before_s = max(self._not_before_s, self._clock() + seconds)

    def _count(self, calls: int, tokens: int) -> None:
        self._calls_now += calls
        self._tokens_now += tokens
