"""No 60 seconds ever hold more calls or tokens than allowed."""

from __future__ import annotations

import random

import pytest

from limbeck.teachers.chat.limits import RateLimits, Ticket


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def admitted(limits: RateLimits, tokens: int = 1) -> Ticket:
    ticket = limits.admit(tokens)
    assert isinstance(ticket, Ticket)
    return ticket


@pytest.mark.parametrize(("calls", "tokens"), [(7, None), (None, 90), (7, 90)])
def test_no_window_holds_too_much(calls: int | None, tokens: int | None, clock: Clock) -> None:
    limits, rng, sent = RateLimits(calls, tokens, clock), random.Random(0), []
    while clock.now < 600:
        wish = rng.randrange(1, 40)
        answer = limits.admit(wish)
        if isinstance(answer, Ticket):
            sent.append((clock.now, wish))
        else:
            assert answer > 0
            clock.now += answer
        clock.now += rng.choice([0, 0, 0.7])
    for start, _ in sent:
        window = [wish for moment, wish in sent if start <= moment < start + 60]
        assert calls is None or len(window) <= calls
        assert tokens is None or sum(window) <= tokens
    assert len(sent) >= (40 if tokens else 65), "and what is allowed is used"


def test_a_call_that_turns_out_small_makes_room_at_once(clock: Clock) -> None:
    limits = RateLimits(None, 100, clock)
    first = admitted(limits, 80)
    assert isinstance(limits.admit(30), float)
    limits.settle(first, 10)
    admitted(limits, 90)


def test_what_a_call_really_took_is_what_leaves_the_window_with_it(clock: Clock) -> None:
    limits = RateLimits(None, 100, clock)
    limits.settle(admitted(limits, 80), 10)
    clock.now = 61
    admitted(limits, 100)
    assert isinstance(limits.admit(1), float), "the worst case of a call that is over makes no room"


def test_a_call_that_was_not_sent_makes_room(clock: Clock) -> None:
    limits = RateLimits(1, 100, clock)
    first = admitted(limits, 100)
    assert isinstance(limits.admit(1), float)
    limits.withdraw(first)
    admitted(limits, 100)


def test_tickets_that_left_the_window_are_not_counted_again(clock: Clock) -> None:
    limits = RateLimits(1, 100, clock)
    old = admitted(limits, 50)
    clock.now = 61
    new = admitted(limits, 50)
    limits.settle(old, 1000)
    limits.withdraw(old)
    assert isinstance(limits.admit(1), float)
    limits.settle(new, 20)
    clock.now = 122
    admitted(limits, 100)


def test_a_call_beyond_the_limit_goes_alone(clock: Clock) -> None:
    limits = RateLimits(None, 100, clock)
    admitted(limits, 5000)
    assert isinstance(limits.admit(1), float)
    clock.now = 60
    admitted(limits, 1)
    assert isinstance(limits.admit(5000), float)


def test_a_pause_is_for_all_and_the_longest_counts(clock: Clock) -> None:
    limits = RateLimits(None, None, clock)
    limits.pause(10)
    limits.pause(3)
    assert limits.admit(1) == 10
    clock.now = 10
    admitted(limits)
