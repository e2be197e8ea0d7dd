"""How numbers and foreign text are written: in messages, on the page, in the model card and in the terminal alike."""

from __future__ import annotations

import math
import re
import unicodedata
from itertools import accumulate
from typing import Literal, TypeGuard

from limbeck.results import Interval

__all__ = [
    "ABSENT",
    "EN_DASH",
    "MINUS",
    "TIMES",
    "Unit",
    "bare_range",
    "bytes_text",
    "count_text",
    "decimal_text",
    "duration_text",
    "energy_text",
    "hours_text",
    "is_wide",
    "milliseconds_text",
    "p_value_text",
    "parameters_text",
    "points_text",
    "printable",
    "range_text",
    "rate_text",
    "ratio_text",
    "saving_text",
    "share_text",
    "shorten",
    "signed_text",
]

EN_DASH, MINUS, TIMES = "\N{EN DASH}", "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"

ABSENT = EN_DASH
"""Stands for a figure that was not, or could not be, measured."""

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


def is_wide(character: str) -> bool:
    """Say whether a character takes two columns, as in Chinese, Japanese and Korean."""
    return unicodedata.east_asian_width(character) in ("W", "F")


def share_text(share: float | None, *, digits: int = 1) -> str:
    """Write a share between 0 and 1 in per cent.

    >>> share_text(0.8241), share_text(0.8241, digits=0)
    ('82.4 %', '82 %')
    """
    return f"{share * 100:.{digits}f} %" if _known(share) else ABSENT


def points_text(difference: float | None) -> str:
    """Write a difference of two shares in percentage points, always with its sign.

    >>> points_text(0.0312)
    '+3.1 points'
    """
    return f"{_signed(difference * 100, 1)} points" if _known(difference) else ABSENT


def decimal_text(value: float | None) -> str:
    """Write a small quantity (nats) with three decimals."""
    return f"{value:.3f}".replace("-", MINUS) if _known(value) else ABSENT


def signed_text(difference: float) -> str:
    """Write a difference of what is no share, such as nats, with three decimals, always with its sign.

    >>> signed_text(0.0312), signed_text(-0.5), signed_text(-0.0002)
    ('+0.031', '\N{MINUS SIGN}0.500', '0.000')
    """
    return _signed(difference, 3)


def range_text(interval: Interval | None, *, unit: Unit = "share") -> str:
    """Write the bounds of an interval: of a share, of points or of nats.

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


def bare_range(interval: Interval | None, *, unit: Unit = "share") -> str:
    """Write the bounds as briefly as a narrow column needs: without unit, joined by a dash."""
    return range_text(interval, unit=unit).removesuffix(" %").replace(" to ", EN_DASH)


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
    """Write a whole number with its thousands apart: ``13,083``."""
    return ABSENT if count is None else f"{count:,}"


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
    """Write a latency with three significant digits."""
    return f"{_three_digits(milliseconds)} ms" if _known(milliseconds) else ABSENT


def rate_text(rows_per_second: float | None) -> str:
    """Write a throughput in rows: ``1,204 /s``."""
    if not _known(rows_per_second):
        return ABSENT
    return f"{rows_per_second:,.0f} /s" if rows_per_second >= 9.95 else f"{rows_per_second:.1f} /s"


def ratio_text(ratio: float | None) -> str:
    """Write how many times as large one figure is as another."""
    if not _known(ratio):
        return ABSENT
    return f"{ratio:.0f} {TIMES}" if ratio >= 99.5 else f"{ratio:.1f} {TIMES}"


def duration_text(seconds: float | None) -> str:
    """Write a time span.

    >>> duration_text(4.2), duration_text(200), duration_text(3900)
    ('4.2 s', '3 min 20 s', '1 h 05 min')
    """
    if not _known(seconds):
        return ABSENT
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes:02d} min"


def hours_text(hours: float | None) -> str:
    """Write device hours with three significant digits; fractions of a minute stay visible.

    >>> hours_text(0.004), hours_text(3.456), hours_text(1200)
    ('0.004 h', '3.46 h', '1,200 h')
    """
    if not _known(hours):
        return ABSENT
    return f"{hours:.3f} h" if hours < 0.0995 else f"{_three_digits(hours)} h"


def energy_text(kilowatt_hours: float | None) -> str:
    """Write an energy in kilowatt hours with three significant digits."""
    if not _known(kilowatt_hours):
        return ABSENT
    return f"{kilowatt_hours:.3f} kWh" if kilowatt_hours < 0.0995 else f"{_three_digits(kilowatt_hours)} kWh"


def saving_text(share: float | None) -> str:
    """Write which share of a cost is saved; a negative saving is an extra cost.

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
    # 999.5 and not 1000: what would round to "1000 kB" is "1.0 MB".
    while number >= step - 0.5 and unit < len(units) - 1:
        number /= step
        unit += 1
    digits = f"{number:.0f}" if unit == 0 or number >= 99.95 else f"{number:.1f}"
    return f"{digits} {units[unit]}".strip()


def _three_digits(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"
