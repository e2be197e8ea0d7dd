"""Servers that do what no API should: each ends in an answer or a clear error, and costs what the docs say.

Every one of `misbehaviour.GROUPS` is asked by the client, and every fifth by `limbeck filter` as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import resource
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.hostile.misbehaviour import GROUPS, KEY, SPELT, Way, http, value
from tests.hostile.tally import Tally
from tests.runs.forge import Forge

from limbeck.errors import TeacherError
from limbeck.teachers.chat.answer import Answer, Failure, Outcome
from limbeck.teachers.chat.client import ChatTeacher
from limbeck.teachers.chat.endpoint import ChatEndpoint
from limbeck.teachers.chat.journal import Journal
from limbeck.teachers.chat.request import ChatRequest, Message

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and counts memory as Linux does")

QUESTIONS = 2
BY_COMMAND = 5
"""Of so many servers one is met by a command as well, which takes a process."""
USAGE = 12
MOST_GROWTH_KB = 150_000
"""Of memory: two answers at once of a few MB, unpacked, read as JSON and written."""


class Server:
    """Answers calls to ``/NAME/v1/chat/completions`` in the way that was put under that name."""

    def __init__(self) -> None:
        self.ways: dict[str, Way] = {}
        self.calls: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(30)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    def _run(self, started: threading.Event) -> None:
        async def start() -> None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = self._server.sockets[0].getsockname()[1]
            started.set()

        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(start())
        self._loop.run_forever()
        for task in (tasks := asyncio.all_tasks(self._loop)):
            task.cancel()
        self._server.close()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))  # connections are closed by the next turn of the loop
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            await reader.readexactly(int(length[1]) if length else 0)
            name = head.split("/")[1]
            way = self.ways[name]
            self.calls[name] += 1
            if way.first_only and self.calls[name] > 1:
                writer.write(http(json.dumps(value())))
            else:
                async for part in way.parts():
                    writer.write(part)
                    await writer.drain()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLANTED_KEY", KEY)
        for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def forge(_environment: None) -> Iterator[Forge]:
    made = Forge(Path(__file__).with_name("servers_program.py"))
    yield made
    made.end()


def endpoint(way: Way, server: Server, name: str) -> dict[str, Any]:
    server.ways[name] = way
    return {
        "base_url": f"http://127.0.0.1:{server.port}/{name}/v1", "model": "large", "key_env": "PLANTED_KEY",
        "tries": way.tries, "timeout_s": 1.0 if way.name.startswith("slow") else 20.0, "log_probs": 2 * way.letters,
    }  # fmt: skip


def peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def require_printable(text: str) -> None:
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", text), repr(text)
    assert len(text) < 3000, text


def require_no_key(folder: Path, said: str) -> None:
    contents = [file.read_bytes().decode("latin-1") for file in folder.rglob("*") if file.is_file()]
    for spelt in SPELT.values():
        assert not any(spelt in content for content in [*contents, said]), spelt


def require_price(way: Way, journal: Path, calls: int) -> None:
    with contextlib.closing(sqlite3.connect(journal)) as base:
        (spent,) = base.execute("SELECT tokens FROM spent").fetchone()
        attempts = base.execute("SELECT ended_s, prompt_tokens, tokens FROM attempts").fetchall()
        (kept,) = base.execute("SELECT count(*) FROM answers").fetchone()
    assert len(attempts) == calls
    assert all(ended is not None for ended, _, _ in attempts)
    answers = calls - (calls - QUESTIONS) * way.first_only
    assert kept == (answers if way.end in ("answered", "kept") else 0)
    if way.price == "worst":
        assert all(prompt is None and tokens > USAGE for _, prompt, tokens in attempts)
        assert spent == sum(tokens for _, _, tokens in attempts)
    else:
        assert spent == (USAGE * answers if way.price == "usage" else 0)


def ask(way: Way, folder: Path, api: dict[str, Any]) -> list[Outcome]:
    options: dict[str, Any] = {"max_tokens": 64}
    if way.letters:
        options = {"max_tokens": 1, "top_log_probs": 2, "truncated_ok": True}
    requests = [ChatRequest((Message("user", f"Is {n} it?"),), **options) for n in range(QUESTIONS)]
    with Journal(folder / "journal.sqlite") as journal:
        journal._connection.execute("PRAGMA synchronous = OFF")
        return ChatTeacher(ChatEndpoint(**api), journal).complete(requests)


def meet_by_client(way: Way, folder: Path, server: Server) -> str:
    """Ask twice; return how it ended."""
    folder.mkdir()
    api, before = endpoint(way, server, folder.name), peak_kb()
    try:
        outcomes = ask(way, folder, api)
    except TeacherError as error:
        if way.end != "fatal":
            raise
        require_printable(str(error))
        outcomes = [Failure("rejected", str(error))]
    calls = server.calls[folder.name]
    require_no_key(folder, repr(outcomes))
    for outcome in outcomes:
        assert isinstance(outcome, Answer) == (way.end == "answered"), outcome
        require_printable(outcome.served_model if isinstance(outcome, Answer) else outcome.detail)
    require_price(way, folder / "journal.sqlite", calls)
    assert peak_kb() - before < MOST_GROWTH_KB, f"{(peak_kb() - before) / 1000:.0f} MB"
    if way.end in ("answered", "kept"):
        assert ask(way, folder, api) == outcomes
        assert server.calls[folder.name] == calls, "what was paid for is not asked for again"
    return way.end


def meet_by_command(way: Way, folder: Path, server: Server, forge: Forge, tally: Tally) -> int:
    """Return how much memory it took at most."""
    folder.mkdir()
    rows = [{"id": str(n), "text": f"blackout number {n}"} for n in range(QUESTIONS)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = {
        "sets": {"energy": {"files": "rows.jsonl", "crisis": "a blackout", "keywords": ["blackout"]}},
        "judge": {"api": endpoint(way, server, folder.name), "samples": 1},
        "near_duplicate": 1.0,
        "output": "out",
    }
    (folder / "filter.yaml").write_text(json.dumps(settings), encoding="utf-8")
    code = forge.run("filter", "filter.yaml", cwd=folder)
    output = forge.output
    tally.ended(code, output)
    assert code == (0 if way.end == "answered" else 2), output
    require_printable(output)
    require_no_key(folder, output)
    require_price(way, folder / "out" / "answers.sqlite", server.calls[folder.name])
    found = re.search(r"peak: (\d+) KB", output)
    assert found, output
    return int(found[1])


GOOD = Way("good", [http(json.dumps(value()))], "answered", "usage")


@pytest.mark.parametrize("group", GROUPS)
def test_servers(group: str, server: Server, forge: Forge, tally: Tally, tmp_path: Path) -> None:
    faults = []
    usual = meet_by_command(GOOD, tmp_path / f"{group}-good", server, forge, tally)
    for number, way in enumerate(GROUPS[group]):
        try:
            tally.add(meet_by_client(way, tmp_path / f"{group}-{number}", server))
            if number % BY_COMMAND == 0:
                peak = meet_by_command(way, tmp_path / f"{group}-{number}-command", server, forge, tally)
                assert peak - usual < MOST_GROWTH_KB, f"{(peak - usual) / 1000:.0f} MB more than with a good server"
        except Exception as error:
            faults.append(f"{way.name}: {type(error).__name__}: {str(error)[:800]}")
    assert not faults, "\n".join(faults)


def test_there_are_enough() -> None:
    names = [way.name for ways in GROUPS.values() for way in ways]
    assert len(set(names)) == len(names)
    assert len(names) >= 100
