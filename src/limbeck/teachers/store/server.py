"""A teacher behind an inference server: its most likely tokens at each position of a sequence.

The protocol is that of OpenAI's completions with vLLM's ``prompt_logprobs``: the sequence goes as token ids, and the
server answers with the most likely tokens at each of its positions.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from typing import Any

from limbeck.errors import ConfigError, TeacherError
from limbeck.teachers.chat.endpoint import Endpoint
from limbeck.teachers.chat.retry import LONGEST_RETRY_AFTER_S, back_off_s
from limbeck.teachers.chat.transport import LEAST_ROOM, Reply, Transport
from limbeck.teachers.chat.trouble import Trouble

__all__ = ["score_sequences"]

_BYTES_PER_TOKEN = 512
"""Allowance for one of the most likely tokens of a position, with its text and log-probability as JSON."""


def score_sequences(
    endpoint: Endpoint, sequences: Iterable[Sequence[int]], top_k: int
) -> Iterator[tuple[int, list[Any]]]:
    """Yield each sequence's number and its ``prompt_logprobs``, as answers arrive.

    Calls that fail for a transient reason are repeated, after growing pauses. If a call fails for good, no further
    ones are made; answers to those in flight are yielded before the error is raised, since they have been paid for.

    Args:
        endpoint: the server. At most its `concurrency` calls are in flight, one per sequence.
        sequences: token ids of each.
        top_k: number of most likely tokens to request per position.

    Raises:
        ConfigError: the environment lacks the key, or an event loop is already running (a notebook).
        TeacherError: the server does not answer after all tries, refuses a call, or answers with something other than
            ``prompt_logprobs``.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise ConfigError("a server cannot be asked from a notebook, whose event loop runs: use limbeck store")
    answers = _answers(endpoint, sequences, top_k)

    async def step() -> tuple[int, list[Any]] | None:
        return await anext(answers, None)

    with asyncio.Runner() as runner:
        try:
            while (answer := runner.run(step())) is not None:
                yield answer
        finally:
            runner.run(answers.aclose())


async def _answers(
    endpoint: Endpoint, sequences: Iterable[Sequence[int]], top_k: int
) -> AsyncGenerator[tuple[int, list[Any]]]:
    failure: TeacherError | None = None
    left = iter(enumerate(sequences))
    under_way: dict[asyncio.Task[list[Any]], int] = {}
    async with Transport(endpoint) as transport:
        try:
            while True:
                while failure is None and len(under_way) < endpoint.concurrency and (job := next(left, None)):
                    under_way[asyncio.create_task(_score(transport, endpoint, job[1], top_k))] = job[0]
                if not under_way:
                    break
                done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    number = under_way.pop(task)
                    try:
                        found = task.result()
                    except TeacherError as error:
                        failure = failure or error
                    else:
                        yield number, found
        finally:
            for task in under_way:
                task.cancel()
    if failure is not None:
        raise failure


async def _score(transport: Transport, endpoint: Endpoint, ids: Sequence[int], top_k: int) -> list[Any]:
    # max_tokens: servers generate at least one token; it is not read.
    call = {"model": endpoint.model, "prompt": list(ids), "max_tokens": 1, "temperature": 0, "prompt_logprobs": top_k}
    room = LEAST_ROOM + len(ids) * (top_k + 2) * _BYTES_PER_TOKEN
    reply = await _reply(transport, endpoint, json.dumps(call).encode(), room)
    found = reply.choices[0].get("prompt_logprobs")
    if not isinstance(found, list):
        raise TeacherError(
            f"{endpoint.url} answered without prompt_logprobs, the most likely tokens at each position of its input: "
            "this server does not support them. vLLM does (vllm serve MODEL --max-logprobs K)"
        )
    return found


async def _reply(transport: Transport, endpoint: Endpoint, body: bytes, room: int) -> Reply:
    """Make a call until it is answered. Raises `TeacherError` if it is refused, or after all tries."""
    rng, tries = random.Random(), 1
    while not isinstance(answer := await transport.send(body, room), Reply):
        asked_s = answer.retry_after_s
        if not answer.may_pass or tries == endpoint.tries or (asked_s or 0) > LONGEST_RETRY_AFTER_S:
            raise _given_up(answer, endpoint, tries)
        await asyncio.sleep(back_off_s(tries, asked_s, rng))
        tries += 1
    return answer


def _given_up(answer: Trouble, endpoint: Endpoint, tries: int) -> TeacherError:
    what = f"did not answer in {tries} of {endpoint.tries} tries" if answer.may_pass else "refused a call"
    return TeacherError(
        f"{endpoint.url} {what}: {answer.detail}. {_advice(answer)}. Earlier answers are kept: run the same "
        "command again"
    )


def _advice(trouble: Trouble) -> str:
    """Return what to change before the next try."""
    said = trouble.detail.lower()
    if trouble.status in (401, 403):
        return "Name the environment variable that holds a valid key (key_env)"
    if trouble.status == 404:
        return "Check base_url (it often ends with /v1) and the server's name of the model"
    if "logprobs" in said:
        return "Start the server so that it allows as many (vLLM: --max-logprobs K), or set a smaller teacher.top_k"
    if "length" in said or "maximum" in said:
        return "The server reads shorter texts than the student: set training.max_length lower"
    return "Check whether the server runs, and what it logged about the call"
