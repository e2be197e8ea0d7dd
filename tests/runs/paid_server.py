"""An API on loopback that gives letters of labels with probabilities by the text, and notes all that it is asked."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import log
from pathlib import Path
from typing import Any
from zlib import crc32

__all__ = ["PaidServer", "answered", "paid_server"]

SECONDS = 0.004
"""That an answer takes."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = [message["content"] for message in body["messages"]]
        self.server.asked.append(json.dumps([[message["role"], message["content"]] for message in body["messages"]]))
        time.sleep(SECONDS)
        answer = json.dumps(_answer(said, self.server.knows)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def _answer(said: list[str], knows: dict[str, str]) -> dict[str, Any]:
    """Answer as large models do: the same question has the same answer. `knows` has labels of texts."""
    usage = {"prompt_tokens": 20, "completion_tokens": 1}
    options = re.findall(r"^([A-Z])\. (.+)$", "\n".join(said), re.MULTILINE)
    if not options:  # asked for a wording of the instruction
        text = f"Instruction: Choose number {crc32(said[-1].encode()) % 100} among [LABELS] for the text."
        choice: dict[str, Any] = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {"model": "large", "choices": [{"index": 0, **choice}], "usage": usage}
    text = re.split(r"(?:Article|Input): ", said[-1])[-1].split("\n")[0]
    weights = {
        letter: 1 + crc32(f"{text} {label}".encode()) % 98 + 300 * (label == knows.get(text))
        for letter, label in options
    }
    logs = {letter: log(weight / sum(weights.values())) for letter, weight in weights.items()}
    top = [{"token": letter, "logprob": value} for letter, value in sorted(logs.items(), key=lambda pair: -pair[1])]
    choice = {"message": {"role": "assistant", "content": top[0]["token"]}, "finish_reason": "length",
              "logprobs": {"content": [top[0] | {"top_logprobs": top}]}}  # fmt: skip
    return {"model": "large", "choices": [{"index": 0, **choice}], "usage": usage}


class PaidServer(ThreadingHTTPServer):
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        """What was said in each call, in the order of arrival."""
        self.knows: dict[str, str] = {}
        """Labels that it gives most of the probability, by text."""
        self.base_url = f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed hangs up."""


@contextmanager
def paid_server() -> Iterator[PaidServer]:
    with PaidServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def answered(journal: Path) -> Counter[str]:
    """Return what was said in the calls whose answer is in a journal, and how many answers it has."""
    if not journal.exists():
        return Counter()
    base = sqlite3.connect(journal)
    try:
        contents = base.execute("SELECT content FROM requests JOIN answers USING (hash)").fetchall()
    except sqlite3.OperationalError:  # killed before the tables were made
        contents = []
    finally:
        base.close()
    return Counter(json.dumps(json.loads(content)["messages"]) for (content,) in contents)
