"""Cleaning a server's words before they are stored or shown: bounded size, without the key, on one line."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

__all__ = ["Body", "KeyCutter", "Unreadable", "excerpt", "parse_json"]

_LONGEST_EXCERPT = 300
_SHORTEST_SECRET = 12
"""Shorter keys ("EMPTY", "none") are not secrets but placeholders for servers without keys, and ordinary words."""
_DEEPEST = 64
"""Maximum nesting of JSON that is kept. Answers have about ten levels; Python cannot handle thousands."""
_LONGEST_INTEGER = 19
_GZIP_OR_ZLIB, _BARE_DEFLATE = 32 + zlib.MAX_WBITS, -zlib.MAX_WBITS
_HTML_NAMES = {'"': "quot", "'": "apos", "&": "amp", "<": "lt", ">": "gt"}


class Unreadable(Exception):
    """A body that is too long, or compressed in a way that was not requested."""


class Body:
    """An uncompressed body, assembled from its parts, that never holds more than `most_bytes`.

    >>> body = Body("gzip", 100)
    >>> body.add(zlib.compress(b"yes"))
    >>> body.text()
    'yes'

    Args:
        encoding: the header ``Content-Encoding``.
        most_bytes: maximum size of the body, uncompressed.
    """

    def __init__(self, encoding: str, most_bytes: int) -> None:
        self._encoding = encoding.strip().lower()
        self._most = most_bytes
        self._parts = bytearray()
        self._unpacker: Any = None

    def add(self, part: bytes) -> None:
        """Add the next part. Raises `Unreadable`."""
        room = self._most - len(self._parts) + 1
        if part and self._encoding not in ("", "identity"):
            part = self._unpacked(part, room)
        self._parts += part[:room]
        if len(self._parts) > self._most:
            raise Unreadable(f"is longer than {self._most / 1e6:.0f} MB")

    def text(self) -> str:
        """Return the text received so far."""
        return self._parts.decode("utf-8-sig", "replace")

    def _unpacked(self, part: bytes, room: int) -> bytes:
        if self._encoding not in ("gzip", "x-gzip", "deflate"):
            raise Unreadable("is compressed in a way that was not requested")
        try:
            if self._unpacker is None:
                # Some servers send raw deflate under this name, which means zlib; their first bytes always differ.
                bare = self._encoding == "deflate" and part[0] & 0x0F != zlib.DEFLATED
                self._unpacker = zlib.decompressobj(_BARE_DEFLATE if bare else _GZIP_OR_ZLIB)
            unpacked: bytes = self._unpacker.decompress(part, room)
        except zlib.error:
            raise Unreadable("cannot be decompressed") from None
        return unpacked


class KeyCutter:
    """A filter that removes an API's key from its server's words, since some servers repeat it.

    It also finds Base64 and any mixture of the escapes of JSON, URLs, HTML and programming languages.

    >>> KeyCutter("sk-0123456789").text(r"Bearer sk%2D0123\\u00345&#x36;789")
    'Bearer (key)'
    """

    def __init__(self, key: str | None) -> None:
        self._pattern = _spellings(key) if key and len(key) >= _SHORTEST_SECRET else None

    def text(self, text: str) -> str:
        """Return a text without the key."""
        return text if self._pattern is None else self._pattern.sub("(key)", text)

    def value(self, value: Any) -> Any:
        """Return a JSON value without the key, which may also be in names."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(one) for one in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(one) for name, one in value.items()}
        return value


def parse_json(text: str) -> Any:
    """Parse JSON; None if it is invalid. Integers beyond 64 bits become floats, and deeper nesting than can be stored
    and read again is left out."""
    try:
        value = json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError):
        return None
    if text.count("[") + text.count("{") > _DEEPEST:
        _cut_depth(value)
    return value


def excerpt(text: str, longest: int = _LONGEST_EXCERPT) -> str:
    r"""Shorten foreign text to one printable line.

    >>> excerpt("a\x1b[31m\n b")
    'a [31m b'
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * longest]).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def _cut_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        inner = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list)))
        level = [one for ones in inner for one in ones if isinstance(one, (dict, list))]
        if not level:
            return
    for one in level:
        one.clear()


def _spellings(key: str) -> re.Pattern[str]:
    written = [_spellings_of(character) for character in key]
    return re.compile("|".join(["".join(written), *map(re.escape, _in_base64(key.encode()))]))


def _spellings_of(character: str) -> str:
    """Return a pattern of a character's spellings; all lengths are bounded, so that no text makes the search slow."""
    plain, number = re.escape(character), ord(character)
    code = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{number:02x}")
    ways = [plain, rf"\\{{1,8}}(?:u\{{?0{{0,4}}{code}\}}?|x{code}|{plain})", rf"%(?:25){{0,4}}{code}"]
    names = [rf"#[xX]0{{0,6}}{code}", rf"#0{{0,6}}{number}", *filter(None, [_HTML_NAMES.get(character)])]
    ways.append(rf"&(?:amp;){{0,4}}(?:{'|'.join(names)});?")
    return f"(?:{'|'.join(ways)})"


def _in_base64(key: bytes) -> set[str]:
    """Return the Base64 letters that do not depend on the context, for each of three offsets of the key in a group."""
    found = set()
    for before, start in ((0, 0), (1, 2), (2, 3)):
        whole = base64.b64encode(b"\0" * before + key).decode()[start : (before + len(key)) * 8 // 6]
        found |= {whole, whole.replace("+", "-").replace("/", "_")}
    return found
