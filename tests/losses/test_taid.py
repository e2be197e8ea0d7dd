"""How TAID's share of the teacher grows."""

from __future__ import annotations

import json
import math

import pytest

from limbeck.errors import ConfigError
from limbeck.losses.taid import TAIDSchedule, TAIDShare


def shares(growth: TAIDSchedule, losses: list[float], steps: int) -> list[float]:
    """Return t in each step, the one after the last included."""
    share = TAIDShare(growth)
    found = [share.value]
    for number, loss in enumerate(losses, start=1):
        share.advance(loss, number / steps)
        found.append(share.value)
    return found


def test_without_a_step_size_it_grows_linearly() -> None:
    found = shares(TAIDSchedule(start=0.2, end=0.8, step_size=0), [1.0, 3.0, 0.5, 0.5], 4)
    assert found == pytest.approx([0.2, 0.35, 0.5, 0.65, 0.8])


def test_it_grows_as_the_formula_says() -> None:
    growth = TAIDSchedule(start=0.4, end=1.0, step_size=0.1, momentum=0.9)
    losses, steps = [2.0, 1.5, 1.6], 1000
    first = 0.4 + 0.6 / steps
    m = 0.1 * (2.0 - 1.5) / 2.0
    second = first + 0.1 / (1 + math.exp(-m)) * (1 - first)
    m = 0.9 * m + 0.1 * (1.5 - 1.6) / 1.5
    third = second + 0.1 / (1 + math.exp(-m)) * (1 - second)
    assert shares(growth, losses, steps) == pytest.approx([0.4, first, second, third], rel=1e-12)


def test_it_never_falls_and_ends_at_its_end() -> None:
    growth = TAIDSchedule(start=0.3, end=0.9, step_size=1.0, momentum=0.0)
    found = shares(growth, [1.0, 5.0, 0.0, 1e9, 0.0, 1e-30, 2.0], 7)
    assert found == sorted(found)
    assert found[-1] == 0.9
    assert all(math.isfinite(value) for value in found)


def test_a_falling_loss_makes_it_grow_faster_than_a_rising_one() -> None:
    growth = TAIDSchedule(step_size=0.05, momentum=0.5)
    falling, rising = (shares(growth, losses, 10_000)[-1] for losses in ([4.0, 2.0, 1.0, 0.5], [0.5, 1.0, 2.0, 4.0]))
    assert falling > rising


def test_a_state_goes_on_where_it_stopped() -> None:
    growth = TAIDSchedule(step_size=0.02)
    whole, first, second = (TAIDShare(growth) for _ in range(3))
    losses = [2.0, 1.7, 1.8, 1.1, 0.7]
    for number, loss in enumerate(losses, start=1):
        whole.advance(loss, number / 9)
    for number, loss in enumerate(losses[:2], start=1):
        first.advance(loss, number / 9)
    second.restore(json.loads(json.dumps(first.state())))
    for number, loss in enumerate(losses[2:], start=3):
        second.advance(loss, number / 9)
    assert second.state() == whole.state()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 0.8, "end": 0.5}, "must rise within 0 and 1, not from 0.8 to 0.5"),
        ({"start": -0.1}, "must rise within 0 and 1"),
        ({"step_size": 2.0}, "step_size must be from 0 to 1"),
        ({"momentum": 1.0}, "momentum from 0 to below 1"),
    ],
)
def test_what_it_refuses(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TAIDSchedule(**options)
