"""What servers do that no API should, by name: what is sent, and what becomes of the answer and its price."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

__all__ = ["GROUPS", "KEY", "SPELT", "Way"]

KEY = "sk-planted_KEY/0123456789+abc"
SPELT = {
    "plain": KEY,
    "escaped": "".join(f"\\u{ord(c):04x}" for c in KEY),
    "escaped twice": "".join(f"\\\\u{ord(c):04x}" for c in KEY),
    "in a URL": quote(KEY, safe=""),
    "hyphen in a URL": KEY.replace("-", "%2D"),
    "in HTML": "".join(f"&#{ord(c)};" for c in KEY),
    "in Base64": base64.b64encode(f":{KEY}".encode()).decode(),
}
"""The key, in spellings that anyone can decode."""

Parts = list[bytes | float]
"""What is sent, with seconds to wait between."""


@dataclass(frozen=True)
class Way:
    """One way to answer a call.

    Of the answer: ``answered``; ``kept``, as a failure that was paid for; ``lost``: it is asked for again; ``fatal``:
    the run ends at once. Of its price: ``usage``, as the answer says it; ``worst``, the most it can be; ``nothing``.
    """

    name: str
    sent: Parts
    end: Literal["answered", "kept", "lost", "fatal"]
    price: Literal["usage", "worst", "nothing"]
    letters: bool = False
    """Whether log-probabilities are asked for."""
    tries: int = 1
    endless: bytes = b""
    """Is sent for ever afterwards."""
    first_only: bool = False
    """Later calls are answered well."""

    async def parts(self) -> AsyncIterator[bytes]:
        for part in self.sent:
            if isinstance(part, float):
                await asyncio.sleep(part)
            else:
                yield part
        while self.endless:
            yield self.endless


def http(body: bytes | str = b"", *headers: str, status: int = 200, length: int | None = None) -> bytes:
    content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    sized = f"Content-Length: {len(content) if length is None else length}"
    head = "\r\n".join([f"HTTP/1.1 {status} X", "Content-Type: application/json", sized, *headers])
    return head.encode("latin-1") + b"\r\n\r\n" + content


def value(**fields: Any) -> dict[str, Any]:
    """A good answer, with other fields."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    return {"id": "1", "model": "large-1", "choices": [choice], "usage": usage} | fields


def choice(**fields: Any) -> dict[str, Any]:
    return value(choices=[value()["choices"][0] | fields])


def said(content: Any = "yes", **fields: Any) -> dict[str, Any]:
    return choice(message={"role": "assistant", "content": content, **fields})


def sent(body: Any, *headers: str, **options: Any) -> Parts:
    return [http(json.dumps(body), *headers, **options)]


def finish_reasons() -> Iterator[Way]:
    for end in ("stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence"):
        yield Way(f"good end {end}", sent(choice(finish_reason=end)), "answered", "usage")
    for end in ("length", "max_tokens", "MAX_TOKENS", "model_length", "content_filter"):
        yield Way(f"end {end}", sent(choice(finish_reason=end)), "kept", "usage")
    others: list[Any] = ["error", "network_error", "insufficient_system_resource", "abort", "SAFETY", "sensitive"]
    others += ["RECITATION", "tool_calls", "", None, 7, [], {"stop": True}, ["stop"], "x" * 10**6, "\x1b[2J", "\ud800"]
    for number, end in enumerate(others):
        yield Way(f"other end {number} {str(end)[:9]!r}", sent(choice(finish_reason=end)), "lost", "usage")
    no_end = value()
    del no_end["choices"][0]["finish_reason"]
    yield Way("no end", sent(no_end), "lost", "usage")


def errors_under_200() -> Iterator[Way]:
    fatal: list[Any] = [
        {"code": 402, "message": "no credits"}, {"code": "402"}, {"code": 402.0}, {"status": 401}, {"code": 403},
        {"code": 404, "message": None}, {"type": "insufficient_quota"}, {"code": "invalid_api_key"},
        "Error code: 402 - no credits", "HTTP 401", {"error": {"code": 402}},
    ]  # fmt: skip
    for number, error in enumerate(fatal):
        yield Way(f"fatal error {number}", sent({"error": error}), "fatal", "nothing")
    yield Way("fatal error in a list", sent([{"error": {"code": 402}}]), "fatal", "nothing")
    yield Way("fatal error alone", sent({"code": 402, "message": "no"}), "fatal", "nothing")
    yield Way("fatal error in choices", sent(choice(error={"code": 402}, message={"content": ""}) | {"usage": None}),
              "fatal", "nothing")  # fmt: skip
    passing: list[Any] = [
        {"code": 429}, {"code": 500}, {"code": "503"}, {"status": "RESOURCE_EXHAUSTED"}, {"type": "overloaded_error"},
        "out of memory", {"code": 1301, "message": "odd"}, 7, True, ["busy"], [{"code": 429}], {"message": {"x": [1]}},
        {"code": [], "message": []}, {"code": 10**30}, "x" * 10**6,
    ]  # fmt: skip
    for number, error in enumerate(passing):
        yield Way(f"passing error {number}", sent({"error": error}), "lost", "nothing")
        if number < 4:
            yield Way(f"error {number} beside no choices", sent({"error": error, "choices": []}), "lost", "nothing")
            yield Way(f"error {number} beside null", sent({"error": error, "choices": None}), "lost", "nothing")
    yield Way("error beside an answer", sent(value(error={"code": 500})), "lost", "usage")
    yield Way("error beside an answer without usage", sent(value(error="x", usage=None)), "lost", "worst")
    yield Way("error in a choice", sent(choice(error={"code": 502, "message": "cut"})), "lost", "usage")
    yield Way("error in a choice without usage", sent(choice(error="cut") | {"usage": None}), "lost", "worst")
    for nothing in (None, {}, "", [], False, {"code": 0}, {"code": "200", "message": "ok"}):
        yield Way(f"no error {nothing}", sent(value(error=nothing)), "answered", "usage")


def statuses() -> Iterator[Way]:
    for status in (401, 402, 403, 404, 201, 206, 301, 302, 307, 308):
        parts = sent({"error": {"message": "no"}}, "Location: http://127.0.0.1:9/stolen", status=status)
        yield Way(f"status {status}", parts, "fatal", "nothing")
    for status in (400, 405, 408, 409, 413, 418, 422, 425, 429, 499, 500, 502, 503, 529, 599):
        yield Way(f"status {status}", sent({"detail": "no"}, status=status), "lost", "nothing")
    yield Way("status 204", [http(status=204)], "fatal", "nothing")
    setting = {"error": {"code": "unsupported_value"}}
    yield Way("status 400 of a setting", sent(setting, status=400), "fatal", "nothing")
    texts = ["<html>busy</html>", "\x1b]0;x\x07", "[" * 10**5, "{" * 10**5, "\u202e" * 10**4, "nul"]
    for number, body in enumerate(texts):
        yield Way(f"status 500 with body {number}", [http(body, status=500)], "lost", "nothing")
    endless = http(b"x", status=500, length=10**12)
    yield Way("status 500 without end", [endless], "lost", "nothing", endless=b"x" * 2**16)
    waits = ["0", "-5", "nan", "inf", "never", "", "Wed, 21 Oct 2015 07:28:00 GMT", "1" + "0" * 400, "0x10", "\xff"]
    for wait in waits[:-3]:
        parts = sent({}, f"Retry-After: {wait}", status=429)
        yield Way(f"Retry-After {wait}", parts, "answered", "usage", tries=2, first_only=True)
    for wait in ("86400", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 99999 23:59:59 GMT", *waits[-3:]):
        yield Way(f"Retry-After {wait[:40]!r}", sent({}, f"Retry-After: {wait}", status=429), "lost", "nothing")


def odd_fields() -> Iterator[Way]:
    usages: list[Any] = [
        {"prompt_tokens": 2**63, "completion_tokens": 1}, {"prompt_tokens": 1, "completion_tokens": 10**400},
        {"prompt_tokens": -1, "completion_tokens": 1}, {"prompt_tokens": 1.5, "completion_tokens": 1},
        {"prompt_tokens": float("nan"), "completion_tokens": float("-inf")}, {"prompt_tokens": True},
        {"prompt_tokens": "10", "completion_tokens": "2"}, {"prompt_tokens": None}, {}, [10, 2], "12", 12, None,
    ]  # fmt: skip
    for number, usage in enumerate(usages):
        yield Way(f"odd usage {number}", sent(value(usage=usage)), "answered", "worst")
    floats = {"prompt_tokens": 10.0, "completion_tokens": 2.0}
    yield Way("usage of floats", sent(value(usage=floats)), "answered", "usage")
    models: list[Any] = ["\ud800", "x" * 10**6, None, 7, [], {"name": "x"}, "", "\x1b]0;owned\x07", "\u202em", " \n"]
    for number, model in enumerate(models):
        yield Way(f"odd model {number}", sent(value(model=model)), "answered", "usage")
    deep: Any = []
    for _ in range(700):
        deep = [deep]
    yield Way("deep fields", sent(value(more=deep)), "answered", "usage")
    yield Way("deep fields in a choice", sent(choice(more=deep)), "answered", "usage")
    good = json.dumps(value())
    yield Way("an integer of 5,000 digits", [http(good[:-1] + f', "n": 1{"0" * 5000}}}')], "answered", "usage")
    yield Way("numbers that are none", [http(good[:-1] + ', "n": [NaN, Infinity, 1e999]}')], "answered", "usage")
    again = json.dumps(value()["choices"])
    yield Way("a key twice", [http(f'{good[:-1]}, "choices": [], "choices": {again}}}')], "answered", "usage")
    yield Way("white space around", [http(f"\n\r {good}\n\n")], "answered", "usage")
    yield Way("a byte-order mark", [http("\ufeff" + good)], "answered", "usage")
    yield Way("1,000 choices", sent(value(choices=value()["choices"] * 1000)), "answered", "usage")
    yield Way("dates and ids of any kind", sent(value(created="x" * 10**5, id=[[]], object=None)), "answered", "usage")
    for field in ("id", "model", "usage", "created"):
        yield Way(f"null {field}", sent(value(**{field: None})), "answered", "worst" if field == "usage" else "usage")


def odd_answers() -> Iterator[Way]:
    contents = ["", " \n\u3000", None, ["yes"], {"text": "yes"}, 7, True, [], [{"type": "image"}]]
    for number, content in enumerate(contents):
        yield Way(f"odd content {number}", sent(said(content)), "kept", "usage")
    for number, message in enumerate([None, "yes", [], 7, [{"content": "yes"}]]):
        yield Way(f"odd message {number}", sent(choice(message=message)), "kept", "usage")
    for number, choices in enumerate([None, [], {}, [None], ["yes"], [[]], 7, "yes", {"0": {"text": "yes"}}]):
        yield Way(f"odd choices {number}", sent(value(choices=choices)), "lost", "usage")
    yield Way("refusal", sent(said(None, refusal="I will not")), "kept", "usage")
    for number, odd in enumerate([7, [], {}, None, "", False]):
        yield Way(f"odd refusal {number}", sent(said(refusal=odd)), "answered", "usage")
        yield Way(f"odd reasoning {number}", sent(said(reasoning_content=odd, reasoning=odd)), "answered", "usage")
    yield Way("long thoughts", sent(said(reasoning_content="no " * 10**5)), "answered", "usage")
    yield Way("thoughts only", sent(said("", reasoning_content="yes")), "kept", "usage")
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "no?"}]}, {"type": "text", "text": "yes"}]
    yield Way("content in parts", sent(said(parts)), "answered", "usage")
    yield Way("half a surrogate pair behind", sent(said("yes\n\ud83d")), "answered", "usage")
    yield Way("control characters behind", sent(said("yes\n\x00\x1b[31m")), "answered", "usage")


def bodies() -> Iterator[Way]:
    good = json.dumps(value()).encode()
    broken = [
        b"", b"<html>busy</html>", b"null", b"[]", b"7", b'"yes"', b"\xff\xfe\x00", good[:40], good + b"x", good * 2,
        b"data: " + good, b"cb(" + good + b")", good.decode().encode("utf-16"), b"[" * 10**5, b'{"a":' * 10**5,
        b"\x00" * 1000, b"'" + good + b"'", b"True", b"NaN",
    ]  # fmt: skip
    for number, body in enumerate([*broken, b"{}", b'{"detail": "no"}']):
        yield Way(f"body {number}", [http(body)], "lost", "worst")
    yield Way("bad UTF-8 in a text", [http(good.replace(b"yes", b"yes\\n\xff\xfe"))], "answered", "usage")
    yield Way("6 MB", [http(good[:-1] + b', "x": "' + b"x" * 6_000_000 + b'"}')], "lost", "worst")
    yield Way("1 MB", [http(good[:-1] + b', "x": "' + b"x" * 1_000_000 + b'"}')], "answered", "usage")
    yield Way("a body without end", [http(b'{"choices": [', length=10**12)], "lost", "worst", endless=b" " * 2**16)
    chunk = b"10000\r\n" + b"x" * 2**16 + b"\r\n"
    head = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield Way("chunks without end", [head], "lost", "worst", endless=chunk)
    yield Way("an array without end", [http(b"[", length=10**12)], "lost", "worst", endless=b"[]," * 2**14)
    bomb = gzip.compress(b"\0" * 10**8, compresslevel=1)
    yield Way("gzip of 100 MB", [http(bomb, "Content-Encoding: gzip")], "lost", "worst")
    yield Way("gzip of 100 MB in gzip", [http(gzip.compress(bomb), "Content-Encoding: gzip, gzip")], "lost", "worst")
    deflated = zlib.compress(b"\0" * 10**8, 1)
    yield Way("deflate of 100 MB", [http(deflated, "Content-Encoding: deflate")], "lost", "worst")
    yield Way("gzip", [http(gzip.compress(good), "Content-Encoding: gzip")], "answered", "usage")
    yield Way("deflate", [http(zlib.compress(good), "Content-Encoding: deflate")], "answered", "usage")
    yield Way("gzip that is none", [http(good, "Content-Encoding: gzip")], "lost", "worst")
    yield Way("half of gzip", [http(gzip.compress(good)[:30], "Content-Encoding: gzip")], "lost", "worst")
    for encoding in ("br", "zstd", "compress", "nonsense", "gzip, br"):
        yield Way(f"encoding {encoding}", [http(good, f"Content-Encoding: {encoding}")], "lost", "worst")


def lines() -> Iterator[Way]:
    good = json.dumps(value()).encode()
    chunked = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"
    sized = b"%x\r\n%s\r\n" % (len(good), good)
    raw = {
        "nothing": b"", "a line": b"hello\r\n\r\n", "half a status": b"HTTP/1.1 20",
        "HTTP 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "TLS": b"\x15\x03\x01\x00\x02\x02\x46", "a status of letters": b"HTTP/1.1 abc X\r\n\r\n" + good,
        "a status of 7 digits": b"HTTP/1.1 2000000 X\r\n\r\n" + good, "a header without a colon": http(good, "broken"),
        "a header with NUL": http(good, "X-A: a\0b"), "a negative length": http(good, length=-7),
        "too long a length": http(good, length=10**6),
        "a length of letters": b"HTTP/1.1 200 X\r\nContent-Length: x\r\n\r\n" + good,
        "a chunk of letters": chunked + b"zz\r\n" + good, "a negative chunk": chunked + b"-1\r\n" + good,
        "half a chunk": chunked + sized[:30], "no last chunk": chunked + sized,
        "a header of 200 KB": http(good, "X-A: " + "a" * 200_000),
    }  # fmt: skip
    for name, answer in raw.items():
        yield Way(f"line: {name}", [answer], "lost", "worst")
    yield Way("line: chunks", [chunked + sized + b"0\r\n\r\n"], "answered", "usage")
    yield Way("line: no length", [b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n" + good], "answered", "usage")
    yield Way("line: HTTP 1.0", [b"HTTP/1.0 200 X\r\n\r\n" + good], "answered", "usage")
    yield Way("line: a header of 60 KB", [http(good, "X-A: " + "a" * 60_000)], "answered", "usage")
    cookies = f"Set-Cookie: ({KEY})=x; a=b", "Set-Cookie: =;;=\xff"
    yield Way("line: odd cookies", [http(good, *cookies)], "answered", "usage")
    yield Way("line: early hints", [b"HTTP/1.1 103 X\r\n\r\n" * 20 + http(good)], "answered", "usage")
    yield Way("line: one byte at a time", [bytes([byte]) for byte in http(good)], "answered", "usage")
    header = b"X-A: " + b"a" * 1000 + b"\r\n"
    yield Way("line: headers without end", [b"HTTP/1.1 200 X\r\n"], "lost", "worst", endless=header)
    yield Way("slow: no word", [9.0], "lost", "worst")
    yield Way("slow: no body", [http(good)[:-20], 9.0, good[-20:]], "lost", "worst")
    drops: Parts = [http(good, length=10**6)]
    yield Way("slow: a drop at a time", drops + [b" ", 0.1] * 100, "lost", "worst")


def log_probabilities() -> Iterator[Way]:
    def first(logprob: Any = -0.1, **more: Any) -> dict[str, Any]:
        top = [{"token": "A", "logprob": logprob}, {"token": "B", "logprob": -2.5}]
        item = {"token": "A", "logprob": logprob, "bytes": [65], "top_logprobs": top} | more
        return choice(logprobs={"content": [item]}, message={"content": "A"}, finish_reason="length")

    def way(name: str, body: Any, end: Literal["answered", "kept", "lost"]) -> Way:
        return Way(f"log-probs: {name}", sent(body), end, "usage", letters=True)

    yield way("good", first(), "answered")
    huge = [{"token": "A", "logprob": -0.1}, {"token": "B", "logprob": -(10**400)}]
    yield way("an integer of 400 digits", first(top_logprobs=huge), "answered")
    yield way("an integer of 5,000 digits", first(top_logprobs=[huge[0], {"token": "B", "logprob": "N"}]), "kept")
    yield way("minus infinity", first(top_logprobs=[huge[0], {"token": "B", "logprob": -float("inf")}]), "answered")
    for number, odd in enumerate([float("nan"), 0.5, 10**400, None, "x", [], {}]):
        yield way(f"odd number {number}", first(odd), "kept")
    lists = [None, {}, [], 7, {"content": None}, {"content": []}, {"content": [7]}, {"content": "A"}]
    for number, odd in enumerate(lists):
        yield way(f"odd list {number}", choice(logprobs=odd, message={"content": "A"}), "kept")
    yield way("odd alternatives", first(top_logprobs=[7]), "kept")
    yield way("a token that is none", first(token=None), "kept")
    yield way("half a surrogate pair", first(top_logprobs=[*huge[:1], {"token": "\ud800", "logprob": -4}]), "answered")
    many = [{"token": "A", "logprob": -0.1}, *({"token": str(n), "logprob": -20.0} for n in range(10_000))]
    yield way("10,000 alternatives", first(top_logprobs=many), "answered")
    yield way("deep bytes", first(bytes=json.loads("[" * 500 + "]" * 500)), "answered")
    yield way("none of a letter", choice(finish_reason="length"), "kept")


def keys() -> Iterator[Way]:
    for name, spelt in SPELT.items():
        good = json.dumps(value())
        yield Way(f"key {name}: text", [http(good.replace("yes", f"yes\\n{spelt}"))], "answered", "usage")
        yield Way(f"key {name}: model", [http(good.replace("large-1", f"m {spelt}"))], "answered", "usage")
        other = good.replace('"id": "1"', f'"{spelt}": "{spelt}"')
        yield Way(f"key {name}: other field", [http(other)], "answered", "usage")
        yield Way(f"key {name}: end", [http(good.replace("stop", f"x {spelt}"))], "lost", "usage")
        yield Way(f"key {name}: HTML", [http(f"<p>{spelt}</p>")], "lost", "worst")
        yield Way(f"key {name}: error", [http(f'{{"error": "Bearer {spelt}"}}', status=401)], "fatal", "nothing")
        yield Way(f"key {name}: broken error", [http(f'{{"err": "Bearer {spelt}', status=400)], "lost", "nothing")
    headers = f"X-Key: Bearer {KEY}", f"{KEY.split('/')[0]}: x"
    yield Way("key: header", [http(json.dumps(value()), *headers)], "answered", "usage")
    yield Way("key: status line", [f"HTTP/1.1 500 {KEY}\r\nContent-Length: 0\r\n\r\n".encode()], "lost", "nothing")
    yield Way("key: no HTTP", [f"{KEY}\r\n\r\n".encode()], "lost", "worst")
    packed = gzip.compress(f'{{"error": "{KEY}"}}'.encode())
    yield Way("key: gzip", [http(packed, "Content-Encoding: gzip", status=400)], "lost", "nothing")
    thoughts = said(reasoning_content=f"{KEY} is the key")
    yield Way("key: thoughts", sent(thoughts), "answered", "usage")


_MAKERS = (
    finish_reasons, errors_under_200, statuses, odd_fields, odd_answers, bodies, lines, log_probabilities, keys
)  # fmt: skip
GROUPS = {make.__name__: list(make()) for make in _MAKERS}
