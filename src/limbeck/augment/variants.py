"""Which words of a text may be replaced, and copies with some of them replaced."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

__all__ = ["STOP_WORDS", "Word", "replaceable_words", "variants"]

_WORD = re.compile(r"[^\W_]+")
_PLAIN = re.compile(r"[a-z]+")

_GRAMMAR = (
    "a about above after again against all am an and any are aren as at be because been before being below "
    "between both but by can couldn d did didn do does doesn doing don down during each few for from further had "
    "hadn has hasn have haven having he her here hers herself him himself his how i if in into is isn it its "
    "itself just ll m me mightn more most mustn my myself needn no nor not now o of off on once only or other "
    "our ours ourselves out over own re s same shan she should shouldn so some such t than that the their theirs "
    "them themselves then there these they this those through to too under until up ve very was wasn we were "
    "weren what when where which while who whom why will with won wouldn y you your yours yourself yourselves"
)
STOP_WORDS = frozenset(_GRAMMAR.split())
"""English words that carry grammar more than meaning, and the parts of their contractions."""


class Word(NamedTuple):
    """A word of a text, by its characters."""

    start: int
    end: int


def replaceable_words(text: str, *, lowers: bool) -> Iterator[Word]:
    """Yield the words of a to z that are not stop words.

    Args:
        text: the text.
        lowers: the model reads lower case, so that capitals count as their small letters.

    >>> [(word.start, word.end) for word in replaceable_words("The Card of 2b", lowers=True)]
    [(4, 8)]
    """
    for match in _WORD.finditer(text):
        word = match[0].lower() if lowers else match[0]
        if _PLAIN.fullmatch(word) and word.lower() not in STOP_WORDS:
            yield Word(*match.span())


def variants(
    text: str, candidates: Mapping[Word, Sequence[str]], *, copies: int, probability: float, draw: random.Random
) -> list[str]:
    """Return the different texts among `copies` copies with words replaced, without the text itself.

    In each copy, one candidate is drawn for every word, then a coin with `probability` decides whether it is used; a
    candidate may be the word itself. Everything between the words stays as it is, and so does a capital at the
    beginning of a word.
    """
    words = sorted(word for word, found in candidates.items() if found)
    different = {text: None}
    for _ in range(copies if words else 0):
        parts, done = [], 0
        for word in words:
            candidate = draw.choice(candidates[word])
            if draw.random() < probability:
                parts += [text[done : word.start], _like(text[word.start], candidate)]
                done = word.end
        different["".join([*parts, text[done:]])] = None
    return list(different)[1:]


def _like(letter: str, candidate: str) -> str:
    return candidate[0].upper() + candidate[1:] if letter.isupper() else candidate
