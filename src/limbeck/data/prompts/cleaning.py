"""Cleaning a row's text before it is put into a prompt."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Literal

__all__ = ["Cleaning", "cleaned"]

Cleaning = Literal["markup", "letters", "none"]

_TAGS = (
    "a|abbr|article|aside|b|big|blockquote|body|br|button|caption|center|cite|code|dd|del|div|dl|dt|em|figcaption|"
    "figure|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|kbd|li|link|main|mark|meta|nav|ol|p|"
    "picture|pre|q|s|small|source|span|strike|strong|sub|sup|svg|table|tbody|td|tfoot|th|thead|time|title|tr|u|ul|video"
)
_ATTRIBUTES = r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+))*"""
_MARKUP = re.compile(
    rf"<!--.*?-->|<(?P<code>script|style){_ATTRIBUTES}\s*>.*?</(?P=code)\s*>|</?(?:{_TAGS}){_ATTRIBUTES}\s*/?>",
    re.IGNORECASE | re.DOTALL,
)
"""Only HTML tags: "a<b and c>d" is not a tag, and "<3" stays."""
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")


def cleaned(text: str, how: Cleaning) -> str:
    """Return `text` without mark-up, or with only letters and digits.

    ``markup``: HTML tags, comments and scripts become spaces, entities become their characters; punctuation and
    diacritics stay. ``letters``: punctuation and special characters also become spaces, as in the published system;
    that hurts languages whose words need them. ``none``: unchanged.

    >>> cleaned("<p class='x'>5 &lt; 6, na&iuml;ve!</p>", "markup").strip()
    '5 < 6, naïve!'
    """
    if how == "none":
        return text
    text = _ENTITY.sub(lambda match: html.unescape(match[0]), _MARKUP.sub(" ", text))
    if how == "letters":
        text = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return text
