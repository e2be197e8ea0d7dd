"""Texts as runs of plain tokens, the same for all text comparisons."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = ["plain_tokens"]

_ADDRESS = re.compile(r"https?://\S+|www\.\S+", re.IGNORECASE)
# Scripts that put no spaces between words: Thai, Lao, Myanmar, Khmer, kana, Han.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003134f"
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


@lru_cache(maxsize=1024)
def plain_tokens(text: str) -> tuple[str, ...]:
    """Return the words of a text in lower case, without web addresses and punctuation.

    In scripts without spaces between words, every character is a token.

    >>> plain_tokens("Flood: 1,200 displaced! https://t.co/x 洪水")
    ('flood', '1', '200', 'displaced', '洪', '水')
    """
    plain = unicodedata.normalize("NFKC", _ADDRESS.sub(" ", text)).casefold()
    return tuple(_TOKEN.findall(plain))
