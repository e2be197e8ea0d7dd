"""Repetition within a text, and diversity over texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["distinct_share", "repeated_share"]


def repeated_share(words: Sequence[str], n: int = 4) -> float:
    """Return ``1 - different n-grams / n-grams`` of one text; 0 if it is too short to have any.

    Reference: seq-rep-n of Welleck et al., "Neural Text Generation with Unlikelihood Training", 2020
    (arXiv 1908.04319), section 6.

    >>> repeated_share("so it goes so it goes".split(), n=3)
    0.25
    """
    grams = _n_grams(words, n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def distinct_share(texts: Iterable[Sequence[str]], n: int) -> float:
    """Return ``different n-grams / n-grams`` of all texts together; 0 if there are none.

    It falls with the number of words, so it is only compared over the same prompts.

    Reference: distinct-n of Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models",
    2016 (arXiv 1510.03055), section 5.

    >>> distinct_share([["a", "b"], ["a"]], n=1)
    0.6666666666666666
    """
    grams = [gram for words in texts for gram in _n_grams(words, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def _n_grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
