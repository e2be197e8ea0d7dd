"""What a server says is bounded, read as far as it can be, and shown without the key and on one line."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
import time
import tracemalloc
import urllib.parse
import zlib
from typing import Any

import pytest

from limbeck.teachers.chat.said import Body, KeyCutter, Unreadable, excerpt, parse_json

KEY = "sk-planted_KEY/0123456789+abc"
WORDS = b"what is said " * 9
GZIPPED = gzip.compress(WORDS, mtime=0)


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [("", WORDS), ("identity", WORDS), ("gzip", GZIPPED), (" X-GZIP", GZIPPED), ("deflate", zlib.compress(WORDS)),
     ("deflate", bare(WORDS))],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_body_comes_in_parts_of_any_size(encoding: str, sent: bytes, size: int) -> None:
    body = Body(encoding, len(WORDS))
    for start in range(0, len(sent), size):
        body.add(sent[start : start + size])
    assert body.text() == WORDS.decode()


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_one_byte_more_is_too_long(encoding: str) -> None:
    body = Body(encoding, 2_000_000)
    with pytest.raises(Unreadable, match="is longer than 2 MB"):
        body.add(gzip.compress(b"x" * 2_000_001) if encoding else b"x" * 2_000_001)
    assert len(body.text()) == 2_000_001


def test_what_unpacks_to_much_takes_no_more_than_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 10**8, compresslevel=1)
    tracemalloc.start()
    with pytest.raises(Unreadable):
        Body("gzip", 1_000_000).add(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize(("encoding", "sent"), [("gzip", b"no gzip"), ("deflate", b"\xff" * 9), ("br", b"x")])
def test_what_cannot_be_unpacked(encoding: str, sent: bytes) -> None:
    with pytest.raises(Unreadable):
        Body(encoding, 100).add(sent)


def mixed(key: str) -> str:
    ways = [lambda c: c, lambda c: f"\\u{ord(c):04X}", lambda c: f"%{ord(c):02x}", lambda c: f"&#{ord(c)};"]
    return "".join(ways[i % 4](c) for i, c in enumerate(key))


SPELT = {
    "as it is": KEY,
    "escaped slashes": KEY.replace("/", "\\/"),
    "JSON": "".join(f"\\u{ord(c):04x}" for c in KEY),
    "JSON in JSON": "".join(f"\\\\u{ord(c):04x}" for c in KEY),
    "JavaScript": "".join(f"\\u{{{ord(c):x}}}" for c in KEY),
    "bytes of Python": "".join(f"\\x{ord(c):02x}" for c in KEY),
    "URL": urllib.parse.quote(KEY, safe=""),
    "hyphens only": KEY.replace("-", "%2D"),
    "URL, in small letters": urllib.parse.quote(KEY, safe="").lower().replace("key", "KEY"),
    "URL, twice": urllib.parse.quote(urllib.parse.quote(KEY, safe=""), safe=""),
    "HTML": html.escape("".join(f"&#x{ord(c):x};" for c in KEY), quote=True),
    "HTML, decimal": "".join(f"&#{ord(c):03};" for c in KEY),
    "a mixture": mixed(KEY),
    "Base64": base64.b64encode(KEY.encode()).decode(),
    "Base64, one letter before": base64.b64encode(f":{KEY}".encode()).decode(),
    "Base64, two letters around": base64.b64encode(f'u:{KEY}"}}'.encode()).decode(),
    "Base64 of URLs": base64.urlsafe_b64encode(f"Bearer {KEY}".encode()).decode(),
}


@pytest.mark.parametrize("way", SPELT)
def test_the_key_is_cut_out_however_it_is_spelt(way: str) -> None:
    cut = KeyCutter(KEY).text(f"before {SPELT[way]} after")
    if "Base64" in way:  # letters that stand for what is around the key stay
        assert re.fullmatch(r"before \S{0,10}\(key\)\S{0,4} after", cut)
    else:
        assert cut == "before (key) after"


@pytest.mark.parametrize("key", ["a" * 12, "\\a" * 6, "<&>\"'[](){}|.*+?^$", "0123456789012"])
def test_any_key_is_found_and_nothing_else_is_changed(key: str) -> None:
    cutter = KeyCutter(key)
    assert cutter.text(f"x{key}y") == "x(key)y"
    assert cutter.text(f"x{json.dumps(key)[1:-1]}y") == "x(key)y"
    assert cutter.text(f"x{urllib.parse.quote(key, safe='')}y") == "x(key)y"
    assert cutter.text("nothing of the kind \\u0073 %2D &amp;") == "nothing of the kind \\u0073 %2D &amp;"


def test_a_key_in_names_and_lists_of_json_is_cut_out() -> None:
    value = {KEY: [1, None, {"x": [f"a {KEY}"]}], "y": True}
    assert KeyCutter(KEY).value(value) == {"(key)": [1, None, {"x": ["a (key)"]}], "y": True}
    assert KeyCutter("EMPTY").value({"EMPTY": "EMPTY"}) == {"EMPTY": "EMPTY"}, "a stand-in is an ordinary word"


@pytest.mark.parametrize(
    "hostile", ["\\" * 10**6, "%25" * 10**5, "&amp;" * 10**5, "&#0" + "0" * 10**6, KEY[:-1] * 10**4]
)
def test_no_text_makes_the_search_slow(hostile: str) -> None:
    started = time.process_time()
    assert KeyCutter(KEY).text(hostile) == hostile
    assert time.process_time() - started < 3


def test_integers_of_any_length_are_read() -> None:
    value = parse_json(f'{{"a": -1{"0" * 400}, "b": 12, "c": 1{"0" * 5000}}}')
    assert value == {"a": -float("inf"), "b": 12, "c": float("inf")}
    assert type(value["b"]) is int


def nested(levels: int) -> str:
    return '{"x": ' + "[" * levels + "]" * levels + ', "y": 1}'


@pytest.mark.parametrize(("levels", "kept"), [(10, 10), (64, 64), (65, 64), (900, 64)])
def test_what_is_nested_deep_is_cut_so_that_it_can_be_written_and_read(levels: int, kept: int) -> None:
    value: Any = parse_json(nested(levels))
    assert value["y"] == 1
    assert json.dumps(value["x"]).count("[") == kept


def test_what_is_no_json() -> None:
    for text in ("", "<html>", '{"a": ', "[" * 100_000, "{'a': 1}"):
        assert parse_json(text) is None


def test_an_excerpt_is_one_line_that_can_be_printed() -> None:
    assert excerpt("a\x1b]0;x\x07b\r\n\u202ec \ud800d") == "a ]0;x b c d"
    assert len(excerpt("x" * 10_000)) == 300
    assert excerpt("x" * 300) == "x" * 300
    assert excerpt("x" * 10_000, 5) == "xxxx…"
