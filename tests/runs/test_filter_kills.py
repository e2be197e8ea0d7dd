"""`limbeck filter` with an API, killed at random moments: no paid answer is asked for twice, the end is the same."""

from __future__ import annotations

import json
import math
import os
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from tests.runs.forge import Forge

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

ARTICLES, CONCURRENCY, KILLS = 160, 4, 16


class _Handler(BaseHTTPRequestHandler):
    """An API that gives P(yes) of an article by its text, after a while."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = json.dumps([[message["role"], message["content"]] for message in body["messages"]])
        self.server.asked.append(said)
        time.sleep(0.004)
        yes = "A" if "A. yes" in body["messages"][0]["content"] + body["messages"][-1]["content"] else "B"
        text = body["messages"][-1]["content"].split("Article: ")[-1].split("\n")[0]
        probability = (1 + crc32(text.encode()) % 98) / 100
        logs = {yes: math.log(probability), "AB".replace(yes, ""): math.log(1 - probability)}
        top = [{"token": token, "logprob": log} for token, log in logs.items()]
        choice = {"index": 0, "message": {"role": "assistant", "content": yes}, "finish_reason": "length",
                  "logprobs": {"content": [top[0] | {"top_logprobs": top}]}}  # fmt: skip
        usage = {"prompt_tokens": 20, "completion_tokens": 1}
        answer = json.dumps({"model": "large", "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        """What was said in each call, in the order of arrival."""

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed hangs up."""


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge("filter_until_killed.py")
    yield made
    made.end()


def write_filter_file(folder: Path, server: _Server) -> str:
    """A collection of which stage A keeps two thirds, with near-duplicates and a test set by date."""
    rng = random.Random(0)
    words = [f"{a}{b}{c}" for a in "bdfgklm" for b in "aeiou" for c in "nrst"]
    rows = []
    for n in range(ARTICLES):
        text = " ".join(rng.choices(words, k=20)) if n % 10 or not rows else rows[-1]["text"] + " again"
        text = text if n % 3 == 0 else f"blackout {text}"
        rows.append({"id": f"a{n}", "text": text, "date": f"202{n % 4}-05-01", "lang": "en"})
    folder.mkdir()
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    api = {"base_url": f"http://127.0.0.1:{server.server_port}/v1", "model": "large", "log_probs": 2}
    settings = {
        "sets": {"energy": {"files": str(folder / "rows.jsonl"), "crisis": "a blackout", "keywords": ["blackout"]}},
        "judge": {"api": api | {"concurrency": CONCURRENCY}},
        "test_from": "2023-01-01",
        "output": str(folder / "out"),
    }
    file = folder / "filter.yaml"
    file.write_text(json.dumps(settings), encoding="utf-8")
    return str(file)


def answered(folder: Path) -> set[str]:
    """What was said in the calls whose answer is in the journal."""
    path = folder / "out" / "answers.sqlite"
    if not path.exists():
        return set()
    base = sqlite3.connect(path)
    try:
        contents = base.execute("SELECT content FROM requests JOIN answers USING (hash)").fetchall()
    except sqlite3.OperationalError:  # killed before the tables were made
        contents = []
    finally:
        base.close()
    return {json.dumps(json.loads(content)["messages"]) for (content,) in contents}


def outcome(folder: Path) -> dict[str, Any]:
    """All that a filter leaves, but for when it ran and how much the last call still had to ask."""
    counts = json.loads((folder / "out" / "counts.json").read_text(encoding="utf-8"))
    files = {file.name: file.read_text(encoding="utf-8") for file in (folder / "out").glob("*.jsonl")}
    return files | {name: counts[name] for name in counts if name not in ("created", "asked", "settings")}


def test_kills_at_random_moments(forge: Forge, server: _Server, tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    assert forge.run("filter", write_filter_file(undisturbed, server)) == 0
    expected = Counter(server.asked)
    assert set(expected.values()) == {1}
    assert len(expected) > ARTICLES
    assert {"train.jsonl", "test.jsonl", "audit.jsonl"} < outcome(undisturbed).keys()

    rng = random.Random(0)
    killed = tmp_path / "killed"
    file = write_filter_file(killed, server)
    kept: set[str] = set()
    moments = set()
    for _ in range(KILLS):
        before = len(server.asked)
        enough = before + rng.randrange(2 * len(expected) // KILLS)
        code = forge.run(
            "filter", file, kill_after=rng.uniform(0, 0.01), since=lambda enough=enough: len(server.asked) >= enough
        )
        time.sleep(0.05)  # calls that are on their way arrive
        asked = server.asked[before:]
        assert not kept & set(asked), "what is in the journal is never asked for again"
        now = answered(killed)
        assert kept <= now, "nothing that was paid for is lost"
        assert len(asked) - len(now - kept) <= CONCURRENCY, "only calls under way at the kill are made again"
        kept = now
        if code == -9:
            moments.add(len(kept))
    assert len(moments) > KILLS / 2, "killed in the middle of the asking"
    before = len(server.asked)
    assert forge.run("filter", file) == 0
    assert Counter(server.asked[before:]) == Counter(expected.keys() - kept)
    assert outcome(killed) == outcome(undisturbed)
