"""A chat teacher: many requests in, an answer or a typed failure for each, nothing paid for twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from limbeck.errors import ConfigError
from limbeck.teachers.chat.answer import Failure, Outcome
from limbeck.teachers.chat.calls import Call, Key, plan_calls
from limbeck.teachers.chat.endpoint import ChatEndpoint
from limbeck.teachers.chat.journal import Cost, Journal
from limbeck.teachers.chat.request import ChatRequest
from limbeck.teachers.chat.session import Done, ask
from limbeck.types import Update

__all__ = ["ChatTeacher"]


class ChatTeacher:
    """A client that asks an OpenAI-compatible API and stores every answer.

    Args:
        endpoint: the API, its limits and its price.
        journal: where answers are stored. Several processes may share one.

    Guarantees, even if a process is killed at any moment:

    - An answer that is in the journal is never requested again. A call makes room for the next only once its answer
      is in the journal, so at most the `concurrency` calls in flight at the kill can have been paid for and must be
      made again.
    - The journal's spending, and so the ceilings, covers every call that was sent. A call that may have been charged
      for without an answer counts at its worst case.
    - The final result is that of an uninterrupted run, provided that the API answers the same.
    """

    def __init__(self, endpoint: ChatEndpoint, journal: Journal) -> None:
        self.endpoint = endpoint
        self.journal = journal
        self._rng = random.Random()  # only for the jitter of waits, which must differ between processes

    def complete(self, requests: Sequence[ChatRequest], update: Update | None = None) -> list[Outcome]:
        """Return one outcome for each request, in their order.

        Requests that are equal (same content hash and sample) are sent once. The key is read, and the network used,
        only if something is not in the journal.

        Args:
            requests: what to ask, except for settings of the endpoint. Samples of one request differ in `sample`.
            update: called as `update(n, note)` when n more requests have their answer; the note is what the
                journal has cost so far, if there are prices.

        Raises:
            ConfigError: the endpoint cannot do what a request asks for, the key is missing, or the environment's proxy
                cannot be used. Nothing was sent.
            TeacherError: continuing is pointless: there is no server, the key or the model is rejected, another model
                answers, or only failures came back. What was paid for is in the journal.
            StorageError: the journal cannot be written.
        """
        requests = [self.endpoint.settled(request) for request in requests]
        self._check(requests)
        keys = [(self._hash(request), request.sample) for request in requests]
        known = [self.journal.outcome(key[0], request) for key, request in zip(keys, requests, strict=True)]
        found = sum(outcome is not None for outcome in known)
        if update is not None and found:
            update(found, "from the journal")
        missing: dict[Key, ChatRequest] = {}
        for key, request, outcome in zip(keys, requests, known, strict=True):
            if outcome is None:
                missing.setdefault(key, request)
        if not missing:
            return [outcome for outcome in known if outcome is not None]
        times = Counter(keys)

        def done(settled: Sequence[Key], spent: Cost) -> None:
            if update is not None:
                note = f"${spent.usd:.2f}" if self.endpoint.prices else ""
                update(sum(times[key] for key in settled), note)

        failures = self._ask(plan_calls(missing, self.endpoint.samples_per_call), done)
        return [
            outcome or failures.get(key) or self._read(key, request)
            for key, request, outcome in zip(keys, requests, known, strict=True)
        ]

    def _hash(self, request: ChatRequest) -> str:
        return request.content_hash(self.endpoint.kind, self.endpoint.model)

    def _read(self, key: Key, request: ChatRequest) -> Outcome:
        outcome = self.journal.outcome(key[0], request)
        assert outcome is not None, "anything that did not fail is in the journal"
        return outcome

    def _ask(self, calls: list[Call], done: Done) -> dict[Key, Failure]:
        work = ask(self.endpoint, self.journal, calls, done, self._rng)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(work)
        with ThreadPoolExecutor(1) as thread:  # in a notebook, whose own loop cannot be entered again
            return thread.submit(asyncio.run, work).result()

    def _check(self, requests: Sequence[ChatRequest]) -> None:
        """Refuse requests that the endpoint cannot serve, before anything is sent."""
        endpoint = self.endpoint
        faults = []
        if any(bool(request.messages) != (endpoint.kind == "chat") for request in requests):
            faults.append("kind: chat needs requests with messages, kind: completions requests with a prompt")
        most = max((request.top_log_probs or 0 for request in requests), default=0)
        wanted = any(request.top_log_probs is not None for request in requests)
        if wanted and (endpoint.log_probs == 0 or most > endpoint.log_probs):
            faults.append(
                f"log_probs: {endpoint.log_probs} is what the endpoint is set to give, but {most} alternatives per "
                "token are requested. If it gives them, set log_probs to that; otherwise estimate from samples"
            )
        if faults:
            raise ConfigError(f"{endpoint.url} cannot serve these requests: " + "; ".join(faults))
