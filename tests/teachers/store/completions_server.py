"""A real HTTP server on this machine that answers as vLLM does, and can be told to fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Distributions = Callable[[list[int]], list[list[float]]]
"""From token ids to the log-probabilities of all tokens behind each of them."""
Fault = Callable[["Handler"], None]


@dataclass
class Server:
    """What was asked, and what is to go wrong."""

    distributions: Distributions
    most_logprobs: int = 64
    key: str | None = None
    url: str = ""
    faults: list[Fault | None] = field(default_factory=list)
    """Of the next requests, one each; None: answer as asked."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """The likeliest tokens at each position, and the token that is there."""
        ids, most = body["prompt"], body["prompt_logprobs"]
        with self.lock:  # the model is one
            rows = self.distributions(ids)
        found: list[dict[str, Any] | None] = [None]
        for values, there in zip(rows[:-1], ids[1:], strict=True):
            order = sorted(range(len(values)), key=lambda token: -values[token])
            named = [*order[:most], *([] if there in order[:most] else [there])]
            found.append(
                {str(t): {"logprob": values[t], "rank": order.index(t) + 1, "decoded_token": "?"} for t in named}
            )
        choice = {"index": 0, "text": "x", "finish_reason": "length", "logprobs": None, "prompt_logprobs": found}
        usage = {"prompt_tokens": len(ids), "completion_tokens": 1, "total_tokens": len(ids) + 1}
        return {"object": "text_completion", "model": body["model"], "choices": [choice], "usage": usage}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_POST(self) -> None:
        state: Server = self.server.state
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with state.lock:
            state.asked.append(body)
            state.headers.append(dict(self.headers))
            fault = state.faults.pop(0) if state.faults else None
            state.at_once += 1
            state.most_at_once = max(state.most_at_once, state.at_once)
        try:
            if fault is not None:
                fault(self)
            elif state.key and self.headers.get("Authorization") != f"Bearer {state.key}":
                self.say(401, {"error": f"invalid key {self.headers.get('Authorization')}"})
            elif self.path != "/v1/completions":
                self.say(404, {"detail": "Not Found"})
            elif body["prompt_logprobs"] > state.most_logprobs:
                words = f"Requested prompt logprobs of {body['prompt_logprobs']}, greater than {state.most_logprobs}"
                self.say(400, {"error": {"message": words, "type": "BadRequestError"}})
            else:
                self.say(200, state.answer(body))
        finally:
            with state.lock:
                state.at_once -= 1

    def say(self, status: int, content: Any, **headers: str) -> None:
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words: Any) -> None:
        pass


def status(code: int, content: Any = "trouble", **headers: str) -> Fault:
    """Answer with an error."""
    return lambda handler: handler.say(code, content, **headers)


def cut_off(handler: Handler) -> None:
    """Promise a long answer and end the connection in the middle of it."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


def hang_up(handler: Handler) -> None:
    """End the connection without a word."""
    handler.close_connection = True


@contextmanager
def serving(distributions: Distributions, **options: Any) -> Iterator[Server]:
    """Serve on a free port of the loopback interface until the block ends."""
    state = Server(distributions, **options)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.state = state  # type: ignore[attr-defined]
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
