"""Check whether a justification can be shown with an alert: its numbers must be in the article."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from limbeck.data.articles.tokens import plain_tokens

__all__ = ["fault_of"]

MOST_QUOTED_WORDS = 20
_LATIN_SHARE = 0.8

_NUMBER = re.compile(r"\d+(?:[.,'’٫٬\u00a0\u202f]\d+)*")
_SPACED = re.compile(r"(?<!\d)\d{1,3}(?: \d{3})+(?!\d)")
_QUOTED = re.compile(
    r"\"([^\"]+)\"|“([^”]+)[”“]|„([^“”]+)[“”]|«([^»]+)»|‘([^’]+)’|(?<!\w)'([^']+)'(?!\w)|「([^」]+)」"
)
_WORDS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
    "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALED = re.compile(rf"(?P<number>{_NUMBER.pattern}|\w+)?\W{{0,2}}\b(?P<scale>{'|'.join(_SCALES)})s?\b")


def fault_of(reason: str, article: str) -> str | None:
    """Return what is wrong with a justification, or ``None``.

    It must be in Latin letters; quote at most 20 words, marked or not; and every number in it, in digits or as an
    English word from "two" to "trillion", must be in the article. Numbers are compared by value: ``1,200`` matches
    ``1.200`` or ``1 200`` in the article, and ``3 million`` matches ``3,000,000``. A number that the article spells
    in another language is not recognised, so the justification counts as not verified.

    Args:
        reason: the justification, in English.
        article: title and text, in any language.
    """
    if not reason.strip():
        return "it is empty"
    letters = [character for character in reason if character.isalpha()]
    latin = sum("LATIN" in unicodedata.name(character, "") for character in letters)
    if latin < _LATIN_SHARE * len(letters):
        return "it is not in English"
    return _number_fault(reason, article) or _quote_fault(reason, article)


def _number_fault(reason: str, article: str) -> str | None:
    plain, known, said = _plain_digits(reason).casefold(), _readings_in(article), set(plain_tokens(article))
    rest = plain
    for match in _SCALED.finditer(plain):
        scale, number = match["scale"], match["number"]
        readings = _readings(number) if number and number[0].isdigit() else {str(_WORDS.get(number or "", 1))}
        products = {_integer_text(float(reading) * _SCALES[scale]) for reading in readings}
        spelled = any(token.startswith(scale) for token in said)
        if not (products & known or (spelled and (_is_word_in(number, said) or readings & known))):
            return f"'{match[0].strip()}' is not in the article"
        rest = rest[: match.start()] + " " * (match.end() - match.start()) + rest[match.end() :]
    for written in _NUMBER.findall(rest):
        if not _readings(written) & known:
            return f"the number {written} is not in the article"
    for word in re.findall(r"\w+", rest):
        if word in _WORDS and str(_WORDS[word]) not in known:
            return f"the number '{word}' is not in the article"
    return None


def _is_word_in(number: str | None, said: set[str]) -> bool:
    """Whether the word before "million" is not a number, or is one that the article spells the same way."""
    if not number or number[0].isdigit():
        return not number
    return number not in _WORDS or number in said


def _quote_fault(reason: str, article: str) -> str | None:
    quoted = [next(filter(None, groups)) for groups in _QUOTED.findall(reason)]
    words = sum(len(plain_tokens(quote)) for quote in quoted)
    words = max(words, _longest_common_run(plain_tokens(reason), plain_tokens(article)))
    return f"it quotes {words} words, more than {MOST_QUOTED_WORDS}" if words > MOST_QUOTED_WORDS else None


def _longest_common_run(first: Sequence[str], second: Sequence[str]) -> int:
    longest, ending = 0, [0] * (len(second) + 1)
    for token in first:
        before = 0
        for index, other in enumerate(second, 1):
            before, ending[index] = ending[index], before + 1 if token == other else 0
            longest = max(longest, ending[index])
    return longest


def _readings_in(text: str) -> set[str]:
    plain = _plain_digits(text)
    joined = [match[0].replace(" ", "") for match in _SPACED.finditer(plain)]
    spelled = {str(_WORDS[token]) for token in plain_tokens(text) if token in _WORDS}
    return spelled.union(*map(_readings, [*_NUMBER.findall(plain), *joined]))


def _readings(written: str) -> set[str]:
    """Return all possible values of a number in one notation: ``1.200`` is 1200 or 1.200, ``1,5`` is 1.5 only."""
    parts = re.split(r"\D", written)
    if len(parts) == 1:
        return {str(int(written))}
    found = set()
    if all(len(part) == 3 for part in parts[1:]) and len(parts[0]) <= 3:
        found.add(str(int("".join(parts))))
    separators = re.findall(r"\D", written)
    if len(parts) == 2 or (len(set(separators[:-1])) == 1 and separators[-1] != separators[0]):
        found.add(f"{int(''.join(parts[:-1]))}.{parts[-1]}")
    # A date or a version, such as 12.11.2018, is the sequence of its numbers.
    return found or {".".join(parts)}


def _integer_text(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _plain_digits(text: str) -> str:
    """Convert digits of any script to ASCII, without changing the length of the text."""
    return "".join(str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() else c for c in text)
