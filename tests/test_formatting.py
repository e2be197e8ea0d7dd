"""Numbers and foreign text in words."""

from __future__ import annotations

import doctest
import math
import re
from collections.abc import Callable

import pytest

from limbeck import formatting
from limbeck.formatting import (
    ABSENT,
    EN_DASH,
    MINUS,
    TIMES,
    bare_difference,
    bytes_text,
    count_text,
    decimal_text,
    difference_range,
    difference_text,
    duration_text,
    energy_text,
    figure_range,
    figure_text,
    hours_text,
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
    shorten_apart,
    times_text,
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
    [
        (0, "0.0 s"),
        (0.0123, "12.3 ms"),
        (0.9996, "1.0 s"),
        (1e-7, "< 0.01 ms"),
        (59.96, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (86_400, "24 h 00 min"),
    ],
)
def test_durations_at_the_edges_of_units(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("write", "small"),
    [
        (duration_text, 1e-4),
        (hours_text, 1e-5),
        (milliseconds_text, 1e-4),
        (energy_text, 1e-5),
        (rate_text, 0.01),
        (ratio_text, 0.01),
        (times_text, 0.01),
        (parameters_text, 12),
        (bytes_text, 12),
    ],
)
def test_nothing_that_is_there_is_shown_as_nothing(write: Callable[[float], str], small: float) -> None:
    """A share may round to 0.0 %; a time, an energy, a speed or a size that was measured may not."""
    value = small
    while value < 1e7:
        assert re.search("[1-9]", write(value)), value
        value *= 1.7


def test_names_are_shortened_where_they_are_alike_and_stay_different() -> None:
    labels = [f"{start}_payment_of_my_card_{number}" for start in ("reverted", "declined") for number in range(40)]
    for width in (12, 16, 24, 60):
        shown = shorten_apart(labels, width)
        assert len(set(shown)) == len(labels)
        assert max(map(len, shown)) <= width
    assert shorten_apart(["lost or\n stolen card", "", "a" * 9], 9) == ["lost…card", "(empty)", "a" * 9]
    assert shorten_apart(["same", "same"], 4) == ["same", "same"]
    wide = shorten_apart(["東京で強い地震があり五人が死亡した"], 12)[0]
    assert wide == "東京で…亡した" or sum(1 + formatting.is_wide(c) for c in wide) <= 12


def test_a_difference_that_rounds_to_zero_has_no_sign() -> None:
    assert points_text(-0.0001) == "0.0 points"
    assert points_text(0.0312) == "+3.1 points"


def test_ranges_by_unit() -> None:
    interval = Interval(value=0.02, low=-0.0031, high=0.0412)
    assert range_text(interval, unit="points") == f"{MINUS}0.3 to +4.1"
    assert range_text(interval, unit="nats") == f"{MINUS}0.003 to 0.041"


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


def test_figures_in_the_users_own_unit_may_be_of_any_size() -> None:
    """A mean squared error of prices has nine digits before the point, that of shares four zeros after it."""
    interval = Interval(value=2.8e8, low=-1.1e8, high=5.2e8)
    assert figure_range(interval, "quantity") == f"{MINUS}1.10 {TIMES} 10⁸{EN_DASH}5.20 {TIMES} 10⁸"
    assert difference_range(interval, "quantity") == f"{MINUS}1.10 {TIMES} 10⁸ to +5.20 {TIMES} 10⁸"
    for value, words in ((0.0, "0"), (99.96, "100"), (999_999.6, f"1.00 {TIMES} 10⁶"), (0.000123, "0.000123")):
        assert figure_text(value, "quantity") == words
    assert difference_text(0.0, "quantity") == "0"
    assert [bare_difference(0.03, unit) for unit in ("share", "nats", "number")] == ["+3.0", "+0.030", "+0.030"]
