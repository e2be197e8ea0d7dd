"""An HTTP server on loopback that answers as an OpenAI-compatible API does, or misbehaves as a test tells it to."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from limbeck.teachers.chat.client import ChatTeacher
from limbeck.teachers.chat.endpoint import ChatEndpoint
from limbeck.teachers.chat.journal import Journal
from limbeck.teachers.chat.request import ChatRequest, Message


@dataclass(frozen=True)
class Hit:
    """One call that arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    said: str
    """The last message, or the prompt."""
    before: int
    """How many calls that said the same arrived earlier."""


@dataclass
class Reaction:
    """What the server does about it."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    sent: int | None = None
    """Bytes of the body that are sent before the line is cut; None for all, -1 for not even a status line."""


def answered(said: str, *, samples: int = 1, model: str = "oracle-1", finish: str = "stop", **more: Any) -> Reaction:
    """A well-formed answer that depends on nothing but what was said, with usage of 10 and 2 tokens a sample."""
    choices = [
        {"index": i, "message": {"role": "assistant", "content": f"label of {said}"}, "finish_reason": finish, **more}
        for i in range(samples)
    ]
    usage = {"prompt_tokens": 10, "completion_tokens": 2 * samples}
    return Reaction(json.dumps({"model": model, "choices": choices, "usage": usage}).encode())


def failed(status: int, message: str = "no", *, code: str = "", **headers: str) -> Reaction:
    """An error as such APIs write it."""
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    return Reaction(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


class ChatServer:
    """Runs in a thread. `react` may be replaced at any time."""

    def __init__(self) -> None:
        self.react: Callable[[Hit], Reaction] = lambda hit: answered(hit.said, samples=hit.body.get("n", 1))
        self.received: list[Hit] = []
        self.delivered: list[str] = []
        """What was said in each call that got a whole, readable answer."""
        self.at_once = self.most_at_once = 0
        self._said: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self, started: threading.Event) -> None:
        async def start() -> None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = self._server.sockets[0].getsockname()[1]
            started.set()

        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(start())
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._server.close()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one_call(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one_call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        said = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        hit = Hit(head[0].split()[1], headers, body, said, self._said[said])
        self._said[said] += 1
        self.received.append(hit)
        reaction = self.react(hit)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(reaction.delay_s)
        finally:
            self.at_once -= 1
        if reaction.sent == -1:
            return False
        given = {"content-length": str(len(reaction.body)), "content-type": "application/json", **reaction.headers}
        lines = [f"HTTP/1.1 {reaction.status} X", *(f"{name}: {value}" for name, value in given.items())]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + reaction.body[: reaction.sent])
        await writer.drain()
        if reaction.sent is not None:
            return False
        if reaction.status == 200 and reaction.body.endswith(b"}"):
            self.delivered.append(said)
        return True


@pytest.fixture
def server() -> Iterator[ChatServer]:
    server = ChatServer()
    yield server
    server.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal that leaves syncing to the operating system: a busy disk takes seconds."""
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal._connection.execute("PRAGMA synchronous = OFF")
        yield journal


@pytest.fixture
def endpoint(server: ChatServer) -> Callable[..., ChatEndpoint]:
    """Return a maker of endpoints of the server."""
    return lambda **options: ChatEndpoint(**({"base_url": server.base_url, "model": "oracle"} | options))


@pytest.fixture
def teacher(endpoint: Callable[..., ChatEndpoint], journal: Journal) -> Callable[..., ChatTeacher]:
    """Return a maker of teachers that ask the server and share a journal."""
    return lambda **options: ChatTeacher(endpoint(**options), journal)


@pytest.fixture(scope="session")
def ask() -> Callable[..., ChatRequest]:
    return lambda said, **options: ChatRequest((Message("user", said),), **options)


@pytest.fixture(scope="session")
def reply() -> Callable[..., Reaction]:
    return answered


@pytest.fixture(scope="session")
def trouble() -> Callable[..., Reaction]:
    return failed


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back off by a hundredth of the time."""
    from limbeck.teachers.chat import session

    original = session.back_off_s
    monkeypatch.setattr(session, "back_off_s", lambda *arguments: original(*arguments) / 100)
