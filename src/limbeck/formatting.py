"""Formatting of numbers and foreign text, the same in messages, report pages, model cards and the terminal."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal, TypeGuard

from limbeck.results.figures import Interval
from limbeck.results.figures import Unit as MetricUnit

__all__ = [
    "ABSENT",
    "EN_DASH",
    "MINUS",
    "TIMES",
    "Unit",
    "bare_difference",
    "bytes_text",
    "count_text",
    "decimal_text",
    "difference_range",
    "difference_text",
    "duration_text",
    "energy_text",
    "figure_range",
    "figure_text",
    "hours_text",
    "is_wide",
    "layers_text",
    "milliseconds_text",
    "p_value_text",
    "parameters_text",
    "perplexity_text",
    "points_text",
    "power_text",
    "printable",
    "quantity_text",
    "range_text",
    "rate_text",
    "ratio_text",
    "saving_text",
    "share_text",
    "shorten",
    "shorten_apart",
    "signed_text",
    "times_text",
]

EN_DASH, MINUS, TIMES = "\N{EN DASH}", "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"

ABSENT = EN_DASH
"""Shown for a figure that was not, or could not be, measured."""

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Unit = Literal["share", "points", "nats"]

# C0 and C1 controls apart from tab and newline, and lone surrogates: XML and UTF-8 cannot hold them.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    r"""Replace characters that neither XML nor UTF-8 can hold.

    >>> printable("a\x00b")
    'a\ufffdb'
    """
    return _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n"))


def shorten(text: str, width: int) -> str:
    r"""Put a text on one line of at most `width` characters.

    >>> shorten("lost or\n stolen card", 12)
    'lost or sto…'
    """
    line = " ".join(printable(text).split()) or "(empty)"
    # A Chinese or Japanese character is as wide as two Latin ones.
    taken = accumulate(1 + is_wide(character) for character in line)
    kept = sum(end <= width for end in taken)
    if kept == len(line):
        return line
    return line[: kept - 1].rstrip() + "…"


def shorten_apart(names: Sequence[str], width: int) -> list[str]:
    """Put names on one line of at most `width` characters each, cutting their middle; keep different names distinct.

    Names often differ only at their end.

    >>> shorten_apart(["card_payment_wrong_exchange_rate", "card_arrival"], 20)
    ['card_payme…ange_rate', 'card_arrival']
    >>> shorten_apart(["reverted_payment_1_of_my_card", "reverted_payment_2_of_my_card"], 14)
    ['reverte…y_card', 'rever…card (2)']
    """
    taken: dict[str, str] = {}
    shown = []
    for name in names:
        short = _without_middle(name, width)
        number = 2
        while taken.setdefault(short, name) != name:
            short = f"{_without_middle(name, width - len(f' ({number})'))} ({number})"
            number += 1
        shown.append(short)
    return shown


def _without_middle(text: str, width: int) -> str:
    line = " ".join(printable(text).split()) or "(empty)"
    room = [1 + is_wide(character) for character in line]
    if sum(room) <= width:
        return line
    head = sum(end <= width // 2 for end in accumulate(room))
    tail = sum(end <= width - 1 - width // 2 for end in accumulate(reversed(room)))
    return f"{line[:head].rstrip()}…{line[len(line) - tail :].lstrip()}"


def is_wide(character: str) -> bool:
    """Return whether a character takes two columns, as in Chinese, Japanese and Korean."""
    return unicodedata.east_asian_width(character) in ("W", "F")


def share_text(share: float | None, *, digits: int = 1) -> str:
    """Write a share between 0 and 1 in per cent.

    >>> share_text(0.8241), share_text(0.8241, digits=0)
    ('82.4 %', '82 %')
    """
    return f"{share * 100:.{digits}f} %" if _known(share) else ABSENT


def points_text(difference: float | None) -> str:
    """Write the difference of two shares in percentage points, always with its sign.

    >>> points_text(0.0312)
    '+3.1 points'
    """
    return f"{_signed(difference * 100, 1)} points" if _known(difference) else ABSENT


def decimal_text(value: float | None) -> str:
    """Write a small quantity (nats) with three decimals."""
    return f"{value:.3f}".replace("-", MINUS) if _known(value) else ABSENT


def signed_text(difference: float) -> str:
    """Write a difference that is not one of shares, such as nats, with three decimals, always with its sign.

    >>> signed_text(0.0312), signed_text(-0.5), signed_text(-0.0002)
    ('+0.031', '\N{MINUS SIGN}0.500', '0.000')
    """
    return _signed(difference, 3)


def perplexity_text(perplexity: float | None) -> str:
    """Write a perplexity with three significant digits, large ones in full.

    >>> perplexity_text(7.126), perplexity_text(31022.4)
    ('7.13', '31,022')
    """
    if not _known(perplexity):
        return ABSENT
    return f"{perplexity:.2f}" if perplexity < 9.995 else f"{perplexity:,.{1 if perplexity < 99.95 else 0}f}"


def quantity_text(value: float | None) -> str:
    """Write a figure that may be of any size with three significant digits; whole numbers below a million in full.

    >>> quantity_text(0.4567), quantity_text(12345.6), quantity_text(256750879.2), quantity_text(-0.0000123)
    ('0.457', '12,346', '2.57 × 10⁸', '\N{MINUS SIGN}1.23 × 10⁻⁵')
    """
    if not _known(value):
        return ABSENT
    digits = f"{value:,.0f}" if 99.95 <= abs(value) < 999_999.5 else f"{value:#.3g}" if value else "0"
    return power_text(digits)


def power_text(number: str) -> str:
    """Write a number with an exponent as a power of ten, and a minus sign as such.

    >>> power_text("2e+09"), power_text("-0.5")
    ('2 × 10⁹', '\N{MINUS SIGN}0.5')
    """
    digits, _, exponent = number.partition("e")
    power = f" {TIMES} 10{str(int(exponent)).translate(_RAISED)}" if exponent else ""
    return digits.replace("-", MINUS) + power


def figure_text(value: float | None, unit: MetricUnit) -> str:
    """Write a figure of a metric in its unit, unless the metric's title gives the unit.

    >>> figure_text(0.824, "share"), figure_text(0.824, "number"), figure_text(12.44, "words")
    ('82.4 %', '0.824', '12.4')
    """
    if not _known(value):
        return ABSENT
    if unit == "share":
        return share_text(value)
    if unit == "perplexity":
        return perplexity_text(value)
    if unit == "quantity":
        return quantity_text(value)
    return f"{value:.1f}" if unit == "words" else decimal_text(value)


def figure_range(interval: Interval | None, unit: MetricUnit) -> str:
    """Write the bounds of a figure, short enough for a narrow column; nothing if there are none."""
    if interval is None or not _known(interval.low) or not _known(interval.high):
        return ""
    return EN_DASH.join(figure_text(end, unit).removesuffix(" %") for end in (interval.low, interval.high))


def difference_text(difference: float | None, unit: MetricUnit) -> str:
    """Write the difference of two figures, always with its sign; for shares, in points.

    >>> difference_text(0.0312, "share"), difference_text(0.0312, "nats"), difference_text(0.0312, "number")
    ('+3.1 points', '+0.031 nats', '+0.031')
    """
    if unit == "share" or not _known(difference):
        return points_text(difference)
    if unit == "quantity":
        return f"{'+' if difference > 0 else ''}{quantity_text(difference)}"
    return f"{signed_text(difference)}{' nats' if unit == 'nats' else ''}"


def difference_range(interval: Interval | None, unit: MetricUnit) -> str:
    """Write the bounds of a difference, without its unit; nothing if there are none."""
    if interval is None or not _known(interval.low) or not _known(interval.high):
        return ""
    return " to ".join(bare_difference(end, unit) for end in (interval.low, interval.high))


def bare_difference(difference: float | None, unit: MetricUnit) -> str:
    """Write a difference with its sign, without its unit."""
    return difference_text(difference, unit).removesuffix(" points").removesuffix(" nats")


def range_text(interval: Interval | None, *, unit: Unit = "share") -> str:
    """Write the bounds of an interval of shares, points or nats.

    >>> range_text(Interval(value=0.82, low=0.801, high=0.846))
    '80.1 to 84.6 %'
    """
    if interval is None or not _known(interval.low) or not _known(interval.high):
        return ""
    if unit == "nats":
        return f"{decimal_text(interval.low)} to {decimal_text(interval.high)}"
    if unit == "points":
        return f"{_signed(interval.low * 100, 1)} to {_signed(interval.high * 100, 1)}"
    return f"{interval.low * 100:.1f} to {interval.high * 100:.1f} %"


def p_value_text(p_value: float | None) -> str:
    """Write a p-value.

    >>> p_value_text(0.0031), p_value_text(0.00002), p_value_text(0.4)
    ('p = 0.003', 'p < 0.001', 'p = 0.40')
    """
    if not _known(p_value):
        return ABSENT
    if p_value < 0.001:
        return "p < 0.001"
    return f"p = {p_value:.3f}" if p_value < 0.0995 else f"p = {p_value:.2f}"


def count_text(count: int | None) -> str:
    """Write a whole number with thousands separators: ``13,083``."""
    return ABSENT if count is None else f"{count:,}"


def layers_text(layers: int, of: int | None = None) -> str:
    """Write a model's number of layers.

    >>> layers_text(3, of=6), layers_text(1)
    ('3 of 6 layers', '1 layer')
    """
    return f"{layers} of {of} layers" if of is not None else f"{layers} layer{'' if layers == 1 else 's'}"


def parameters_text(parameters: int | None) -> str:
    """Write a number of parameters.

    >>> parameters_text(34_530_000)
    '34.5 M'
    """
    return ABSENT if parameters is None else _scaled(parameters, 1000, ["", "k", "M", "B", "T"])


def bytes_text(size_bytes: int | None) -> str:
    """Write a size in decimal units, 1 MB = 1,000,000 bytes.

    >>> bytes_text(1_230_000)
    '1.2 MB'
    """
    return ABSENT if size_bytes is None else _scaled(size_bytes, 1000, ["B", "kB", "MB", "GB", "TB"])


def milliseconds_text(milliseconds: float | None) -> str:
    """Write a latency with three significant digits; values below 0.01 ms as such.

    >>> milliseconds_text(7.314), milliseconds_text(0.0004)
    ('7.31 ms', '< 0.01 ms')
    """
    if not _known(milliseconds):
        return ABSENT
    return "< 0.01 ms" if 0 < milliseconds < 0.005 else f"{_three_digits(milliseconds)} ms"


def rate_text(rows_per_second: float | None) -> str:
    """Write a throughput in rows per second.

    >>> rate_text(1204.4), rate_text(3.24), rate_text(0.0123)
    ('1,204 /s', '3.2 /s', '0.012 /s')
    """
    if not _known(rows_per_second):
        return ABSENT
    return f"{rows_per_second:,.0f} /s" if rows_per_second >= 9.95 else f"{_one_decimal(rows_per_second)} /s"


def ratio_text(ratio: float | None) -> str:
    """Write the ratio of two figures.

    >>> ratio_text(6.61), ratio_text(0.0123)
    ('6.6 \N{MULTIPLICATION SIGN}', '0.012 \N{MULTIPLICATION SIGN}')
    """
    if not _known(ratio):
        return ABSENT
    return f"{ratio:.0f} {TIMES}" if ratio >= 99.5 else f"{_one_decimal(ratio)} {TIMES}"


def times_text(ratio: float | None) -> str:
    """Write a ratio in a sentence: ``6.6 times``."""
    return ratio_text(ratio).replace(TIMES, "times")


def duration_text(seconds: float | None) -> str:
    """Write a time span.

    >>> duration_text(4.2), duration_text(200), duration_text(3900), duration_text(0.0123)
    ('4.2 s', '3 min 20 s', '1 h 05 min', '12.3 ms')
    """
    if not _known(seconds):
        return ABSENT
    if 0 < seconds < 0.9995:
        return milliseconds_text(seconds * 1000)
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes:02d} min"


def hours_text(hours: float | None) -> str:
    """Write device hours with three significant digits; less than a tenth of an hour in minutes and seconds.

    >>> hours_text(0.004), hours_text(3.456), hours_text(1200)
    ('14.4 s', '3.46 h', '1,200 h')
    """
    if not _known(hours):
        return ABSENT
    if hours == 0:
        return "0 h"
    return duration_text(hours * 3600) if hours < 0.0995 else f"{_three_digits(hours)} h"


def energy_text(kilowatt_hours: float | None) -> str:
    """Write an energy in kilowatt hours with three significant digits; small ones in watt hours.

    >>> energy_text(1.234), energy_text(0.0123), energy_text(0.0000001)
    ('1.23 kWh', '12.3 Wh', '< 0.01 Wh')
    """
    if not _known(kilowatt_hours):
        return ABSENT
    if 0 < kilowatt_hours < 0.0995:
        watt_hours = kilowatt_hours * 1000
        return "< 0.01 Wh" if watt_hours < 0.005 else f"{_three_digits(watt_hours)} Wh"
    return f"{_three_digits(kilowatt_hours)} kWh"


def saving_text(share: float | None) -> str:
    """Write the share of a cost that is saved; a negative saving is an extra cost.

    >>> saving_text(0.75), saving_text(-0.204)
    ('75.0 %', '\N{MINUS SIGN}20.4 %')
    """
    return share_text(share).replace("-", MINUS)


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _signed(number: float, digits: int) -> str:
    shown = round(number, digits)
    return f"{'+' if shown > 0 else MINUS if shown < 0 else ''}{abs(shown):.{digits}f}"


def _scaled(number: float, step: int, units: list[str]) -> str:
    unit = 0
    # 999.5 and not 1000: a size that would round to "1000 kB" is written "1.0 MB".
    while number >= step - 0.5 and unit < len(units) - 1:
        number /= step
        unit += 1
    digits = f"{number:.0f}" if unit == 0 or number >= 99.95 else f"{number:.1f}"
    return f"{digits} {units[unit]}".strip()


def _one_decimal(value: float) -> str:
    """Write one decimal, or two digits if one decimal would lose the number."""
    return f"{value:.1f}" if value == 0 or value >= 0.0995 else f"{value:.2g}"


def _three_digits(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"
