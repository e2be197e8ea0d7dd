"""Whether the final number of an answer is right."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

__all__ = ["final_number", "numeric_match"]

_RELATIVE_TOLERANCE = Fraction(1, 10_000)
_LONGEST = 300
"""Characters. A model that repeats one digit endlessly has written no number, and Python refuses to parse it."""

_SPACE = "['\u2019\u00a0\u2009\u202f]"
_NUMBER = re.compile(
    r"(?P<sign>(?<![\w)\]])[-\u2212\u2013])?[$€£¥₹]?(?:"
    r"(?<![\d/.,])(?:(?P<whole>\d+)\s+)?(?P<over>\d+)\s?/\s?(?P<under>\d+)(?!\s?/|\d|[.,]\d)"  # 3/4, 1 1/2
    rf"|(?P<continental>\d{{1,3}}(?:(?:\.\d{{3}})+|(?:{_SPACE}\d{{3}})+),\d+|\d{{1,3}}(?:\.\d{{3}}){{2,}})(?!\d|,\d)"
    rf"|(?P<grouped>\d{{1,3}}(?:(?:,\d{{3}})+|(?:{_SPACE}\d{{3}})+)(?:\.\d+)?)(?!\d|,\d)"
    r"|(?P<indian>\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?)(?!\d|,\d)"
    r"|(?<!\d,)(?P<comma>\d+,\d+)(?!\d|,\d)"
    r"|(?P<plain>(?:\d+(?:\.\d+)?|(?<!\d)\.\d+)(?:[eE][+-]?\d{1,3}(?!\d))?)"
    r")"
)
_MARK = re.compile(r"####[^\S\n]*")
_NEXT_IN_LIST = re.compile(r"[.):]\s+\w")


def numeric_match(answer: str, reference: str) -> bool:
    """Return whether the final numbers of both texts are the same.

    A whole number in the reference must match exactly, others to one part in 10,000. A text without a number matches
    nothing. See `final_number` for what is read as a number.

    >>> numeric_match("3 * 24 = 72 eggs", "He has ... #### 72")
    True
    """
    said, wanted = final_number(answer), final_number(reference)
    if said is None or wanted is None:
        return False
    if wanted.denominator == 1:
        return said == wanted
    return abs(said - wanted) <= _RELATIVE_TOLERANCE * abs(wanted)


def final_number(text: str) -> Fraction | None:
    r"""Return the number after the first ``####``, else the last number of a text, exactly; None if there is none.

    Read as numbers: digits of any script; a minus sign that no word precedes; thousands in groups by comma, full
    stop, apostrophe or narrow space (``1,234.5``, ``1.234,5``, ``12,34,567``; a lone ``1.234`` is a decimal), a
    decimal comma (``3,5``); fractions ``3/4``, ``1 1/2``, ``½`` and ``\frac{3}{4}``; exponents (``1.5e3``). Units,
    currency and per cent are ignored: ``50 %`` is 50. ``#### 1. First`` is a heading, not GSM8K's mark of the answer.

    >>> final_number("at 6:30 the pump had moved 1,234.5 litres")
    Fraction(2469, 2)
    """
    plain = _plain(text)
    for mark in _MARK.finditer(plain):
        marked = _NUMBER.match(plain, mark.end())
        if marked and not _NEXT_IN_LIST.match(plain, marked.end()):
            return _value(marked)
    last = None
    for last in _NUMBER.finditer(plain):  # noqa: B007
        pass
    return _value(last) if last else None


def _value(match: re.Match[str]) -> Fraction | None:
    if len(match[0]) > _LONGEST:
        return None
    parts = match.groupdict()
    if parts["under"]:
        if int(parts["under"]) == 0:
            return None
        value = int(parts["whole"] or 0) + Fraction(int(parts["over"]), int(parts["under"]))
    elif parts["continental"] or parts["comma"]:
        digits = parts["continental"] or parts["comma"]
        value = Fraction(re.sub(rf"{_SPACE}|\.", "", digits).replace(",", "."))
    else:
        value = Fraction(re.sub(f"{_SPACE}|,", "", parts["grouped"] or parts["indian"] or parts["plain"]))
    return -value if parts["sign"] else value


def _plain(text: str) -> str:
    """Write digits, fractions and LaTeX's spelling of both in ASCII."""
    text = text.replace("{,}", ",").replace(r"\,", "").replace(r"\$", "$")
    text = re.sub(r"(?<=\d)(?=\\[dt]?frac\{)", " ", text)
    text = re.sub(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}", r"\1/\2", text)
    return "".join(_ascii(character, before) for before, character in zip(" " + text, text, strict=False))


def _ascii(character: str, before: str) -> str:
    if character.isascii():
        return character
    if (digit := unicodedata.decimal(character, None)) is not None:
        return str(digit)
    if character in "\u066b\u066c":  # Arabic decimal point and thousands separator
        return "." if character == "\u066b" else ","
    if "\uff01" <= character <= "\uff5e":  # full-width ASCII
        return chr(ord(character) - 0xFEE0)
    written = unicodedata.normalize("NFKC", character).replace("\u2044", "/")
    if re.fullmatch(r"\d+/\d+", written):
        # Two and a half is "2½", not twenty-one halves.
        return f" {written}" if before.isdecimal() else written
    return character
