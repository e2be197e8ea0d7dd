"""Words of a text in any script: the basis of ROUGE-L, lengths and repetition."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["words"]

_WITHOUT_SPACES = re.compile(
    "["
    r"\u0e00-\u0eff"  # Thai, Lao
    r"\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff"  # Myanmar
    r"\u1780-\u17ff"  # Khmer
    r"\u3005-\u3007\u3021-\u3029\u3031-\u3035\u303b"  # iteration marks, numerals
    r"\u3040-\u30ff\u31f0-\u31ff"  # Hiragana, Katakana
    r"\u3100-\u312f\u31a0-\u31bf"  # Bopomofo
    r"\u2e80-\u2fdf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "]"
)
"""Scripts without spaces between words; each character is a word, with its combining marks."""

_WORD = re.compile(r"sm*|[a0][a0m]*(?:(?:'(?=a)|(?<=0)\.(?=0))[a0][a0m]*)*")
"""A pattern over the kinds of characters, see `_Kinds`."""


def words(text: str) -> list[str]:
    """Return the words of a text in any script, case folded.

    After compatibility normalisation (NFKC) a word is a run of letters and digits with their combining marks, as in
    the word boundaries of Unicode (UAX #29): an apostrophe between letters and a full stop or comma between digits
    are inside a word (``don't``, ``3.14``), all other punctuation, symbols and underscores are between words. In
    scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer, Myanmar) each character is a word. Nothing is
    stemmed, as that depends on the language.

    >>> words("The cat's 3.5 kg, 猫です!")
    ['the', "cat's", '3.5', 'kg', '猫', 'で', 'す']
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).replace("\u2019", "'")
    return [folded[found.start() : found.end()] for found in _WORD.finditer(folded.translate(_KINDS))]


class _Kinds(dict[int, str]):
    """The kind of each character: a letter, 0 digit, s a word of its own, m mark on what precedes, ' . as they are."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if category[0] == "M" or character in "\u200c\u200d":
            kind = "m"
        elif category[0] in "LN":
            kind = "s" if _WITHOUT_SPACES.match(character) else "0" if category == "Nd" else "a"
        else:
            kind = {"'": "'", ".": ".", ",": "."}.get(character, " ")
        self[code] = kind
        return kind


_KINDS = _Kinds()
