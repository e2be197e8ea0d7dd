"""The known languages, and the codes that data sets use for them."""

from __future__ import annotations

import tomllib
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType

from limbeck.errors import DataError, near_misses

__all__ = ["Language", "language_code", "language_name", "languages", "script_of", "text_in_script"]

_SCRIPTS_OF_WRITING = {"Japanese": frozenset({"Han", "Hiragana", "Katakana"})}
"""Writing systems of more than one Unicode script."""

_SCRIPT_BY_FIRST_WORD = {
    "CJK": "Han",
    "IDEOGRAPHIC": "Han",
    "KATAKANA-HIRAGANA": "Katakana",
    "FEMININE": "Latin",
    "MASCULINE": "Latin",
}
"""Names of letters that do not begin with their script's name; the ordinal indicators are Latin."""


@dataclass(frozen=True)
class Language:
    """One language, in one script."""

    code: str
    """ISO 639-1 if there is one, else ISO 639-3; ``zh-Hant`` is Chinese in traditional characters."""
    name: str
    """The English name."""
    script: str
    """Unicode's name of the script, e.g. ``Cyrillic``; ``Japanese`` is Han, Hiragana and Katakana together."""
    iso_639_3: str
    """ISO 639-3; the macrolanguage's if the two-letter code means one: ``swa``, not ``swh``."""
    flores_101: str | None = None
    flores_200: str | None = None
    """The code in FLORES-200 and SIB-200, e.g. ``bul_Cyrl``."""
    also: tuple[str, ...] = ()
    """Other codes that data sets use."""


@cache
def languages() -> Mapping[str, Language]:
    """Return all languages of the table by our code."""
    table = tomllib.loads((files("limbeck.data") / "languages.toml").read_text(encoding="utf-8"))
    return MappingProxyType(
        {code: Language(**{**row, "code": code, "also": tuple(row.get("also", ()))}) for code, row in table.items()}
    )


def language_code(code: str) -> str:
    """Return our code for a data set's language code.

    ISO 639-1 and 639-3 codes, those of FLORES-101 and FLORES-200 and English names are known; case
    and the joiner of parts (``-`` or ``_``) do not matter.

    >>> [language_code(code) for code in ("bul_Cyrl", "swa", "zho_Hans", "en", "Hindi")]
    ['bg', 'sw', 'zh', 'en', 'hi']

    Raises:
        DataError: no language in the table has this code.
    """
    known, folded = _our_codes(), _folded(code)
    if folded in known:
        return known[folded]
    base = known.get(folded.split("_")[0])
    if base is not None:
        close = f"; {languages()[base].name} is '{base}' ({languages()[base].script} script)"
    else:
        close = " or ".join(f"'{one}' ({known[one]})" for one in get_close_matches(folded, known, n=2))
        close = f"; the closest are {close}" if close else ""
    raise DataError(
        f"'{code}' is none of the {len(languages())} languages known here{close}. "
        "Expected an ISO 639-1 or 639-3 code or one of FLORES, such as 'bg', 'bul' or 'bul_Cyrl'"
    )


def language_name(code: str) -> str:
    """Return the English name of a language given any of its codes. Raises `DataError`."""
    return languages()[language_code(code)].name


def script_of(code: str) -> str:
    """Return the script of a language given any of its codes. Raises `DataError`."""
    return languages()[language_code(code)].script


def text_in_script(text: str, script: str) -> float:
    """Return the share of the letters of `text` that belong to `script`, between 0 and 1.

    Digits, marks, punctuation and modifier letters belong to every script. Text without letters: 1.

    Raises:
        DataError: no language in the table is written in `script`.
    """
    known = {language.script for language in languages().values()}
    if script not in known:
        raise DataError(f"'{script}' is not a known script; {near_misses(script, known)}")
    wanted = _SCRIPTS_OF_WRITING.get(script, frozenset({script}))
    letters: Counter[str] = Counter()
    for character, count in Counter(text).items():
        if (found := _script_of_letter(character)) is not None:
            letters[found] += count
    if not letters:
        return 1.0
    return sum(letters[one] for one in wanted) / letters.total()


@lru_cache(maxsize=2**16)
def _script_of_letter(character: str) -> str | None:
    """Return the script from the character's Unicode name; None if it is not a letter of one script."""
    if not unicodedata.category(character).startswith("L"):
        return None
    words = unicodedata.name(character, "UNNAMED").split()
    first = words[1] if words[0] in ("FULLWIDTH", "HALFWIDTH") else words[0]
    if first == "MODIFIER":
        return None
    return _SCRIPT_BY_FIRST_WORD.get(first, first.capitalize())


def _folded(code: str) -> str:
    return code.strip().casefold().replace("-", "_")


@cache
def _our_codes() -> Mapping[str, str]:
    """Return our code for every folded code and name."""
    ours: dict[str, str] = {}
    for language in languages().values():
        codes = [language.code, language.name, language.flores_101, language.flores_200, *language.also]
        if "-" not in language.code:  # zho alone is zh, not zh-Hant
            codes += [language.iso_639_3, (language.flores_200 or "").split("_")[0]]
        for code in filter(None, codes):
            first = ours.setdefault(_folded(code), language.code)
            assert first == language.code, f"'{code}' stands for both {first} and {language.code}"
    return MappingProxyType(ours)
