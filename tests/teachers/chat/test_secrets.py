"""A key that is planted where only it may be: it must appear nowhere else."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from limbeck.errors import ConfigError, LimbeckError
from limbeck.teachers.chat.client import ChatTeacher
from limbeck.teachers.chat.endpoint import ChatEndpoint, read_key
from limbeck.teachers.chat.journal import Journal
from limbeck.teachers.chat.request import ChatRequest

KEY = 'sk-planted/"+0123456789abcdef'
"""With characters that JSON may write in more than one way."""
SPELLINGS = [KEY, KEY.replace('"', '\\"'), KEY.replace("/", "\\/").replace('"', '\\"')]
ENCODED = [
    "".join(f"\\u{ord(c):04x}" for c in KEY),
    quote(KEY, safe=""),
    KEY.replace("-", "%2D"),
    "".join(f"&#{ord(c)};" for c in KEY),
    base64.b64encode(f":{KEY}".encode()).decode(),
]
"""Spellings that anyone can decode."""


@pytest.mark.usefixtures("no_waiting")
def test_the_key_is_nowhere(
    server: Any,
    endpoint: Callable[..., ChatEndpoint],
    ask: Callable[..., ChatRequest],
    reply: Any,
    trouble: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Not in journal, logs, errors, outcomes or reprs, though the server repeats it in whatever it says."""
    monkeypatch.setenv("PLANTED_KEY", KEY)
    logged = io.StringIO()
    monkeypatch.setattr(logging.root, "handlers", [logging.StreamHandler(logged)])
    monkeypatch.setattr(logging.Logger, "isEnabledFor", lambda logger, level: True)
    header = f"Bearer {KEY}"
    escaped = json.dumps(header).replace("/", "\\/").encode()

    def react(hit: Any) -> Any:
        assert hit.headers["authorization"] == header
        if hit.said == "answer":
            reaction = reply(f"{header} and {header}")
            reaction.body = reaction.body.replace(b"label", escaped[1:-1])
            reaction.headers = {"Set-Cookie": f"({header})=x", "X-Repeated": header}
            return reaction
        if hit.said == "malformed":
            reaction = reply("x")
            reaction.body = header.encode()
            return reaction
        if hit.said == "cut":
            reaction = reply("x")
            reaction.sent = 3
            return reaction
        if hit.said == "garbled":
            reaction = reply("x")
            reaction.headers = {"x": f"{header}\r\nno header but {header}"}
            return reaction
        if hit.said[-2:-1] == " ":
            return encoded(hit.said[:-2], ENCODED[int(hit.said[-1])])
        return trouble(int(hit.said), f"Incorrect key: {header}")

    def encoded(way: str, spelt: str) -> Any:
        if way == "answer":
            return reply(f"x {spelt}")
        broken = trouble(400)
        broken.body = f'{{"error": "{spelt}"}}'.encode() if way == "error" else f"<p>{spelt}".encode()
        return broken

    server.react = react
    seen: list[str] = []
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        teacher = ChatTeacher(endpoint(key_env="PLANTED_KEY", tries=2), journal)
        for said in ("answer", "malformed", "cut", "garbled", "400", "429", "500"):
            (outcome,) = teacher.complete([ask(said)])
            seen += [repr(outcome), str(outcome)]
            assert "(key)" in repr(outcome) or said in ("cut", "garbled")
        for number in range(len(ENCODED)):
            for said in (f"answer {number}", f"error {number}", f"no json {number}"):
                (outcome,) = teacher.complete([ask(said)])
                seen.append(repr(outcome))
                assert "(key)" in repr(outcome), said
        for status in ("401", "404", "302"):
            with pytest.raises(LimbeckError) as caught:
                teacher.complete([ask(status)])
            seen += [str(caught.value), repr(caught.value), repr(caught.value.__context__)]
        seen += [repr(teacher), repr(vars(teacher)), repr(teacher.endpoint), teacher.endpoint.model_dump_json()]
        seen += [repr(journal), repr(journal.summary())]
        files = [file for file in tmp_path.rglob("*") if file.is_file()]
        assert {"journal.sqlite", "journal.sqlite-wal"} <= {file.name for file in files}
        contents = [file.read_bytes() for file in files]
    contents.append(path.read_bytes())
    seen += [logged.getvalue(), *capfd.readouterr()]
    assert "Using selector" in logged.getvalue(), "the libraries' logs are on"
    for spelling in SPELLINGS + ENCODED:
        assert not any(spelling in text for text in seen)
        assert not any(spelling.encode() in content for content in contents)
    assert b"answered" in b"".join(contents)


@pytest.mark.parametrize("key", ["sk-proj-abcdef0123456789", "gsk_abcdef", "sk abc", ""])
def test_a_key_in_the_place_of_its_name_is_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="never the key itself") as caught:
        ChatEndpoint(base_url="http://x/v1", model="m", key_env=key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://me:hunter2@host/v1", "https://host/v1?key=hunter2", "https://host/v1#hunter2"]
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="must not contain a user, password or query") as caught:
        ChatEndpoint(base_url=url, model="m")
    assert "hunter2" not in str(caught.value)


def test_a_broken_key_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = ChatEndpoint(base_url="http://x/v1", model="m", key_env="A_KEY")
    monkeypatch.setenv("A_KEY", "  sk-good\n")
    assert read_key(endpoint) == "sk-good"
    monkeypatch.setenv("A_KEY", "sk-bad\nsecond")
    with pytest.raises(ConfigError, match="holds spaces, line breaks") as caught:
        read_key(endpoint)
    assert "sk-bad" not in str(caught.value)
