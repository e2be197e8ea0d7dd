"""Labels that look the same to a reader: they differ only in case, spaces, Unicode form or invisible characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

__all__ = ["look_alike_warnings", "look_alikes", "plain_form", "twin_of", "visible"]

_NO_WIDTH = frozenset(map(chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0))) | frozenset(
    chr(code) for of in ((0x180B, 0x1810), (0xFE00, 0xFE10), (0xE0100, 0xE01F0)) for code in range(*of)
)
"""Characters without width that are not format characters (Cf): fillers and variation selectors."""


def plain_form(label: str) -> str:
    """Return what a reader sees: compatibility forms, case, spaces and invisible characters do not count.

    >>> plain_form("Risk\\u200b and\\u00a0warning") == plain_form("risk  and warning")
    True
    """
    wide = "".join(c for c in label if unicodedata.category(c) != "Cf" and c not in _NO_WIDTH)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", wide).casefold())
    return " ".join(folded.split())


def look_alikes(labels: Iterable[str]) -> list[list[str]]:
    """Return groups of two or more different labels with the same plain form."""
    groups: dict[str, list[str]] = {}
    for label in dict.fromkeys(labels):
        groups.setdefault(plain_form(label), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def look_alike_warnings(labels: Iterable[str]) -> list[str]:
    """Return warnings about labels that look the same to a reader."""
    return [
        f"The labels {' and '.join(map(visible, group))} differ only in case, spaces, Unicode form or invisible "
        "characters. If they are one label, write them the same way in the rows (and in task.labels): otherwise half "
        "of the class counts as wrong."
        for group in look_alikes(labels)
    ]


def twin_of(name: str, labels: Collection[str]) -> str | None:
    """Return the only one of `labels` that looks like `name`; ``None`` if there is none, or several."""
    return _by_plain_form(frozenset(labels)).get(plain_form(name))


def visible(label: str) -> str:
    """Return a label in quotes, so that labels that look the same can be told apart."""
    plain = label.isprintable() and unicodedata.is_normalized("NFKC", label)
    return repr(label) if plain else ascii(label)


@lru_cache(maxsize=16)
def _by_plain_form(labels: frozenset[str]) -> Mapping[str, str]:
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(plain_form(label), []).append(label)
    return {form: group[0] for form, group in groups.items() if len(group) == 1}
