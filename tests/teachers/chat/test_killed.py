"""Kill -9 at any moment: nothing that is in the journal is asked for again, and nothing is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from limbeck.teachers.chat.journal import Journal
from limbeck.teachers.chat.request import ChatRequest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

TEXTS, CONCURRENCY, KILLS = 450, 8, 50
Start = Callable[[], int]
End = Callable[[], int]


@contextmanager
def labelling(server: Any, journal: Path, outcomes: Path) -> Iterator[tuple[Start, End]]:
    """Yield one function that starts a process and returns its id, and one that waits and returns its status."""
    program = str(Path(__file__).with_name("label_until_killed.py"))
    arguments = [server.base_url, str(journal), str(outcomes), str(TEXTS), str(CONCURRENCY)]
    command = [sys.executable, program, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin
        assert parent.stdout
        stdin, stdout = parent.stdin, parent.stdout

        def start() -> int:
            stdin.write("\n")
            stdin.flush()
            return int(stdout.readline())

        yield start, lambda: int(stdout.readline())
        stdin.close()


def react_badly(rng: random.Random, reply: Any, trouble: Any) -> Callable[[Any], Any]:
    """One call in ten fails in a way that passes; the texts of answers depend on nothing but the question."""

    def react(hit: Any) -> Any:
        fault = rng.randrange(40) if hit.before < 4 else None
        if fault in (0, 1):
            return trouble(429 if fault else 500)
        reaction = reply(hit.said, finish="length" if hit.said.endswith("7") else "stop")
        reaction.delay_s = rng.uniform(0, 0.01)
        if fault == 2:
            reaction.sent = 30
        elif fault == 3:
            reaction.body = reaction.body[:-20]
        return reaction

    return react


@pytest.mark.slow
def test_fifty_kills(server: Any, reply: Any, trouble: Any, ask: Callable[..., ChatRequest], tmp_path: Path) -> None:
    """What a kill may cost are the answers under way at that moment: at most `concurrency` of them."""
    rng = random.Random(0)
    server.react = react_badly(rng, reply, trouble)
    path, outcomes = tmp_path / "killed.sqlite", tmp_path / "outcomes.json"
    requests = [ask(f"text {number}") for number in range(TEXTS)]
    hashes = {request.content_hash("chat", "oracle"): request.messages[0].content for request in requests}
    in_journal: set[str] = set()
    paid_again = killed_while_working = 0
    with labelling(server, path, outcomes) as (start, end):
        for _ in range(KILLS):
            received, delivered = len(server.received), len(server.delivered)
            enough, deadline = received + rng.randrange(20), time.monotonic() + 30
            child = start()
            while len(server.received) < enough and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.005))
            os.kill(child, signal.SIGKILL)
            killed_while_working += end() == signal.SIGKILL
            asked = [hit.said for hit in server.received[received:]]
            assert not in_journal & set(asked), "what is in the journal is never asked for again"
            time.sleep(0.02)  # the server may be in the middle of an answer that nobody reads any more
            with Journal(path) as journal:
                kept = {hashes[hashed] for (hashed,) in journal._connection.execute("SELECT hash FROM answers")}
            assert in_journal <= kept
            given = Counter(server.delivered[delivered:])
            assert max(given.values(), default=1) == 1, "while a process lives, it asks once"
            lost = given.keys() - kept
            assert len(lost) <= CONCURRENCY, "only answers under way at the kill"
            paid_again += len(lost)
            in_journal = kept
        assert killed_while_working >= KILLS - 10
        assert len(in_journal) > TEXTS / 20
        received = len(server.received)
        start()
        assert end() == 0
    assert not in_journal & {hit.said for hit in server.received[received:]}
    assert len(server.delivered) == TEXTS + paid_again, "every other answer was given once"
    undisturbed = tmp_path / "undisturbed.json"
    with labelling(server, tmp_path / "undisturbed.sqlite", undisturbed) as (start, end):
        start()
        assert end() == 0
    labels = json.loads(outcomes.read_text())
    assert labels == json.loads(undisturbed.read_text())
    assert len(labels) == TEXTS
    assert sum("truncated" in label for label in labels) == TEXTS / 10
    print(f"{killed_while_working} kills at work, {paid_again} answers under way")
