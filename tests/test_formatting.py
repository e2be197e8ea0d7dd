"""Numbers and foreign text in words."""

from __future__ import annotations

import doctest
import math

import pytest

from limbeck import formatting
from limbeck.formatting import (
    ABSENT,
    EN_DASH,
    MINUS,
    TIMES,
    bare_range,
    bytes_text,
    count_text,
    decimal_text,
    duration_text,
    milliseconds_text,
    p_value_text,
    parameters_text,
    points_text,
    printable,
    range_text,
    rate_text,
    ratio_text,
    share_text,
    shorten,
)
from limbeck.results import Interval


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(formatting).failed == 0


@pytest.mark.parametrize(
    "write",
    [
        share_text,
        points_text,
        decimal_text,
        p_value_text,
        milliseconds_text,
        rate_text,
        ratio_text,
        duration_text,
    ],
)
@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_not_a_number_is_a_dash(write, value) -> None:
    assert write(value) == ABSENT


def test_counts_and_sizes_may_be_absent_too() -> None:
    assert [count_text(None), bytes_text(None), parameters_text(None), range_text(None)] == [ABSENT] * 3 + [""]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (999_600, "1.0 MB"),
        (99_949_000, "99.9 MB"),
        (99_960_000, "100 MB"),
        (2_500_000_000, "2.5 GB"),
        (7 * 10**15, "7000 TB"),
    ],
)
def test_sizes_at_the_edges_of_units(size: int, text: str) -> None:
    assert bytes_text(size) == text


@pytest.mark.parametrize(
    ("p_value", "text"),
    [
        (0.0, "p < 0.001"),
        (0.00099, "p < 0.001"),
        (0.001, "p = 0.001"),
        (0.0994, "p = 0.099"),
        (1.0, "p = 1.00"),
    ],
)
def test_p_values(p_value: float, text: str) -> None:
    assert p_value_text(p_value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (59.96, "1 min 00 s"), (3599.6, "1 h 00 min"), (86_400, "24 h 00 min")],
)
def test_durations_at_the_edges_of_units(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_difference_that_rounds_to_zero_has_no_sign() -> None:
    assert points_text(-0.0001) == "0.0 points"
    assert points_text(0.0312) == "+3.1 points"


def test_ranges_by_unit() -> None:
    interval = Interval(value=0.02, low=-0.0031, high=0.0412)
    assert range_text(interval, unit="points") == f"{MINUS}0.3 to +4.1"
    assert range_text(interval, unit="nats") == f"{MINUS}0.003 to 0.041"
    assert bare_range(Interval(value=0.5, low=0.4, high=0.6)) == f"40.0{EN_DASH}60.0"


def test_rates_and_ratios() -> None:
    assert [rate_text(1204.4), rate_text(3.24), ratio_text(6.61), ratio_text(250.0)] == [
        "1,204 /s",
        "3.2 /s",
        f"6.6 {TIMES}",
        f"250 {TIMES}",
    ]


def test_control_characters_and_lone_surrogates_become_visible() -> None:
    assert printable("a\x00\x1b\ud800\tb\r\nc\n") == "a\ufffd\ufffd\ufffd\tb\nc\n"


def test_shorten_counts_wide_characters_twice() -> None:
    assert shorten("日本語日本語", 6) == "日本…"
    assert shorten("日本語", 6) == "日本語"
    assert shorten(" \n ", 7) == "(empty)"
