"""Is the answer the reference, word for word?"""

from __future__ import annotations

import unicodedata

__all__ = ["exact_match", "normalised"]


def exact_match(answer: str, reference: str) -> bool:
    """Return whether both texts are the same but for case, width of characters, white space and a closing full stop.

    Articles and other punctuation stay, unlike in SQuAD's measure, which knows English only.

    >>> exact_match("  PARIS.\\n", "Paris")
    True
    """
    return normalised(answer) == normalised(reference)


def normalised(text: str) -> str:
    """Return what is compared of a text."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split()).removesuffix(".").removesuffix("\u3002").rstrip()
