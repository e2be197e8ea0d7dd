"""Waiting times before retries: exponential back-off with full jitter, and the server's ``Retry-After``.

Source of the jitter: Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). ``Retry-After``
follows RFC 9110, section 10.2.3: seconds, or an HTTP date.
"""

from __future__ import annotations

import random
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["LONGEST_RETRY_AFTER_S", "back_off_s", "retry_after_s"]

_FIRST_S = 1.0
_LONGEST_S = 60.0
LONGEST_RETRY_AFTER_S = 600.0
"""If a server asks for a longer wait, the call fails, and the next run asks again."""


def back_off_s(tries: int, asked_s: float | None, rng: random.Random) -> float:
    """Return the seconds to wait after `tries` failed calls (1, 2, ...).

    ``uniform(0, min(60, 2**(tries - 1)))``; at least what the server asked for, plus up to a second, so
    that not all callers come back at the same moment.
    """
    if asked_s is not None:
        return asked_s + rng.uniform(0.0, min(_FIRST_S, asked_s))
    return rng.uniform(0.0, min(_LONGEST_S, _FIRST_S * 2 ** (tries - 1)))


def retry_after_s(header: str | None, now_s: float) -> float | None:
    """Return the wait that a ``Retry-After`` header asks for, in seconds; None if it cannot be read.

    Args:
        header: its value: seconds, or an HTTP date.
        now_s: the time as seconds since 1970, that a date is compared with.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except (TypeError, ValueError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = moment.timestamp() - now_s
    return max(0.0, seconds) if seconds == seconds and seconds != float("inf") else None
