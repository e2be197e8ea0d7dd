"""How long a chat teacher takes against a server that answers in a fixed time, beside the shortest possible time.

    python benchmarks/chat_teacher.py

A server on loopback answers every call after 50 milliseconds. 200 different requests at a concurrency of 32 cannot
take less than ceil(200 / 32) x 50 ms = 350 ms. Measured is the wall time of `ChatTeacher.complete` on a new journal,
with every answer synced to disk; the HTTP library is loaded and certificates are read before, by a call that is not
measured, as they are once per process. The server is a process of its own, and answers are checked. Prints each time
and the processor time of this process, the medians, and the ratio to the ideal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import multiprocessing
import os
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from limbeck.teachers.chat.answer import Answer
from limbeck.teachers.chat.client import ChatTeacher
from limbeck.teachers.chat.endpoint import ChatEndpoint
from limbeck.teachers.chat.journal import Journal
from limbeck.teachers.chat.request import ChatRequest, Message


def serve(answer_s: float, port: Connection) -> None:
    """Answer every call after `answer_s` seconds, until killed."""

    async def one_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                writer.close()
                return
            size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            said = json.loads(await reader.readexactly(size))["messages"][-1]["content"]
            await asyncio.sleep(answer_s)
            message = {"role": "assistant", "content": f"label of {said}"}
            usage = {"prompt_tokens": 10, "completion_tokens": 3}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            body = json.dumps({"model": "m", "choices": choices, "usage": usage}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()

    async def run() -> None:
        server = await asyncio.start_server(one_client, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--answer-ms", type=float, default=50.0)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", help="where journals are written, for another disk than that of temporary files")
    options = parser.parse_args()
    receiver, sender = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(options.answer_ms / 1000, sender), daemon=True)
    server.start()
    endpoint = ChatEndpoint(
        base_url=f"http://127.0.0.1:{receiver.recv()}/v1", model="m", concurrency=options.concurrency
    )
    requests = [ChatRequest((Message("user", f"text {number}"),)) for number in range(options.requests)]
    ideal_s = math.ceil(options.requests / options.concurrency) * options.answer_ms / 1000
    walls_s, cpus_s = [], []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        with Journal(Path(folder) / "first.sqlite") as journal:
            ChatTeacher(endpoint, journal).complete(requests[:1])
        for repeat in range(options.repeats):
            with Journal(Path(folder) / f"{repeat}.sqlite") as journal:
                cpu_s, start = time.process_time(), time.perf_counter()
                outcomes = ChatTeacher(endpoint, journal).complete(requests)
                walls_s.append(time.perf_counter() - start)
                cpus_s.append(time.process_time() - cpu_s)
            texts = [outcome.text if isinstance(outcome, Answer) else outcome for outcome in outcomes]
            assert texts == [f"label of text {number}" for number in range(options.requests)]
            print(
                f"{walls_s[-1]:.3f} s, {walls_s[-1] / ideal_s:.2f} x ideal, {cpus_s[-1]:.3f} s of CPU here", flush=True
            )
    server.kill()
    median_s, cpu_ms = statistics.median(walls_s), statistics.median(cpus_s) / options.requests * 1000
    print(
        f"ideal {ideal_s:.3f} s, median {median_s:.3f} s: {median_s / ideal_s:.2f} x ideal; "
        f"{cpu_ms:.2f} ms of CPU per call; load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
