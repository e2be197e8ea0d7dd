"""Exact match of answer and reference."""

from __future__ import annotations

import unicodedata

__all__ = ["exact_match", "normalised"]


def exact_match(answer: str, reference: str) -> bool:
    """Return whether both texts are the same up to case, width of characters, white space and a closing full stop.

    Articles and other punctuation count, unlike in SQuAD's metric, which is for English only.

    >>> exact_match("  PARIS.\\n", "Paris")
    True
    """
    return normalised(answer) == normalised(reference)


def normalised(text: str) -> str:
    """Return the form of a text that is compared."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split()).removesuffix(".").removesuffix("\u3002").rstrip()
