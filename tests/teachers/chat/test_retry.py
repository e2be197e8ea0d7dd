"""How long a call waits before it is made again."""

from __future__ import annotations

import random
from email.utils import formatdate

import pytest

from limbeck.teachers.chat.retry import back_off_s, retry_after_s

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("Tue, 14 Nov 2023 22:14:20 +0000", 60.0),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60.0),
        ("Tue, 14 Nov 2023 23:14:20 +0100", 60.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


@pytest.mark.parametrize(("tries", "longest"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (19, 60)])
def test_back_off_doubles_up_to_a_minute_with_full_jitter(tries: int, longest: float) -> None:
    rng = random.Random(0)
    waits = [back_off_s(tries, None, rng) for _ in range(4000)]
    assert 0 <= min(waits) < 0.01 * longest
    assert 0.99 * longest < max(waits) <= longest
    assert sum(waits) / len(waits) == pytest.approx(longest / 2, rel=0.05)


@pytest.mark.parametrize("asked", [0.1, 5.0, 300.0])
def test_never_sooner_than_the_server_asks(asked: float) -> None:
    rng = random.Random(0)
    waits = [back_off_s(6, asked, rng) for _ in range(1000)]
    assert min(waits) >= asked
    assert max(waits) <= asked + min(1.0, asked)
