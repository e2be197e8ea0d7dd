"""Program of `test_killed.py`: for each line that it reads, forks a process that labels texts until it is killed.

    python label_until_killed.py BASE_URL JOURNAL OUTCOMES COUNT CONCURRENCY

Prints each process's id. A process that is not killed writes the texts of its outcomes into the file OUTCOMES. The
processes are forked because starting Python takes far longer than what is tested.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

from limbeck.teachers.chat import session
from limbeck.teachers.chat.client import ChatTeacher
from limbeck.teachers.chat.endpoint import ChatEndpoint
from limbeck.teachers.chat.journal import Journal
from limbeck.teachers.chat.request import ChatRequest, Message
from limbeck.teachers.chat.transport import known_certificates


def label(base_url: str, journal: str, outcomes: str, count: str, concurrency: str) -> None:
    requests = [ChatRequest((Message("user", f"text {number}"),)) for number in range(int(count))]
    endpoint = ChatEndpoint(base_url=base_url, model="oracle", concurrency=int(concurrency))
    with Journal(Path(journal)) as opened:
        # A kill takes nothing from the operating system, and a busy disk takes seconds.
        opened._connection.execute("PRAGMA synchronous = OFF")
        found = ChatTeacher(endpoint, opened).complete(requests)
    Path(outcomes).write_text(json.dumps([repr(outcome) for outcome in found]), encoding="utf-8")


if __name__ == "__main__":
    known_certificates()  # so that the forked processes need not read them, nor load the library
    importlib.import_module("aiohttp")
    back_off_s = session.back_off_s
    session.back_off_s = lambda *arguments: back_off_s(*arguments) / 100
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            label(*sys.argv[1:])
            os._exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(status, flush=True)
