"""One run over many calls: bounded concurrency, limits, retries, ceilings, and the journal before everything else."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from limbeck.errors import TeacherError
from limbeck.teachers.chat.answer import Failure, Outcome, read_choice
from limbeck.teachers.chat.calls import Call, Key
from limbeck.teachers.chat.endpoint import ChatEndpoint
from limbeck.teachers.chat.group_commit import GroupCommit
from limbeck.teachers.chat.journal import Begun, Cost, Journal
from limbeck.teachers.chat.limits import RateLimits, Ticket
from limbeck.teachers.chat.retry import LONGEST_RETRY_AFTER_S, back_off_s
from limbeck.teachers.chat.said import excerpt
from limbeck.teachers.chat.transport import LEAST_ROOM, Reply, Transport
from limbeck.teachers.chat.trouble import Trouble, advice

__all__ = ["ask"]

_CLAIMED_S = 0.05
"""Wait before checking whether another process has its answer."""
_HOPELESS = 20
"""Number of consecutive failed requests, without an answer in between, that ends the run."""
_TRIES_TO_REACH = 4
"""Tries of one call, with waits of at most 7 s, for a server that never answered: it may still be starting."""

Done = Callable[[Sequence[Key], Cost], None]
"""Called with the keys that have an answer, and the journal's cost."""


async def ask(
    endpoint: ChatEndpoint, journal: Journal, calls: Sequence[Call], done: Done, rng: random.Random
) -> dict[Key, Failure]:
    """Make calls until each has its answers in the journal or has failed; return unpaid failures.

    If cancelled, it lets the calls in flight end and stores their answers.

    Raises:
        ConfigError: the key is missing, or the environment's proxy cannot be used.
        TeacherError: continuing is pointless.
        StorageError: the journal cannot be written.
    """
    async with Transport(endpoint) as transport:
        with journal.owner() as owner:
            commits = GroupCommit(journal)
            try:
                session = _Session(endpoint, journal, owner, commits, transport, calls, done, rng)
                return await session.run()
            finally:
                commits.close()


class _Session:
    def __init__(
        self,
        endpoint: ChatEndpoint,
        journal: Journal,
        owner: str,
        commits: GroupCommit,
        transport: Transport,
        calls: Sequence[Call],
        done: Done,
        rng: random.Random,
    ) -> None:
        self.endpoint = endpoint
        self.journal = journal
        self.owner = owner
        self.commits = commits
        self.transport = transport
        self.waiting = deque(calls)
        self.done = done
        self.rng = rng
        self.limits = RateLimits(endpoint.requests_per_minute, endpoint.tokens_per_minute)
        self.failures: dict[Key, Failure] = {}
        self.spent = journal.spent()
        self.under_way = 0
        self.settled = asyncio.Event()
        self.being_kept: set[asyncio.Task[None]] = set()
        self.stop = asyncio.Event()
        self.error: Exception | None = None
        self.over_budget: Failure | None = None
        """Cost of the first call that did not fit under a ceiling; no later one is sent, even if it would fit."""
        self.failed_in_a_row = 0
        self.reached = False
        """Whether a server has answered, even if only that it is busy."""

    async def run(self) -> dict[Key, Failure]:
        count = min(self.endpoint.concurrency, len(self.waiting))
        workers = [asyncio.create_task(self._work()) for _ in range(count)]
        try:
            await asyncio.wait(workers)
        except asyncio.CancelledError:
            self.stop.set()
            await asyncio.wait(workers)
            raise
        finally:
            await asyncio.gather(*self.being_kept)
        if self.error is not None:
            raise self.error
        return self.failures

    async def _work(self) -> None:
        try:
            while self.waiting and not self.stop.is_set():
                await self._settle(self.waiting.popleft())
        except Exception as error:
            self._end_with(error)

    def _end_with(self, error: Exception) -> None:
        self.error = self.error or error
        self.stop.set()
        self.settled.set()

    async def _settle(self, call: Call) -> None:
        """Bring one call to its end, or put it back to wait."""
        while not self.stop.is_set():
            if self.over_budget is not None:
                return self._fail(call, self.over_budget)
            worst = self._worst(call)
            ticket = await self._admitted(worst.tokens)
            if ticket is None:
                return None
            begun = await self.commits.submit(partial(self._begin, call, worst))
            if begun.state != "go":
                self.limits.withdraw(ticket)
                if not await self._not_now(call, begun):
                    return None
                continue
            if self.stop.is_set():
                return await self._not_sent(call, begun.attempt)
            self.under_way += 1
            call.tries += 1
            room = LEAST_ROOM + call.request.most_bytes(len(call.samples))
            result = await self.transport.send(self._body(call), room)
            self.reached = self.reached or isinstance(result, Reply) or result.status is not None
            if isinstance(result, Reply):
                kept, broken = self._judged(call, result)
                if kept:
                    return self._keep(call, begun.attempt, ticket, result, kept)
                result = _trouble_of(broken[0], result)
            if not await self._may_try_again(call, begun.attempt, ticket, result):
                return None
        return None

    def _begin(self, call: Call, worst: Cost) -> Begun:
        endpoint = self.endpoint
        return self.journal.begin(
            self.owner,
            call.content_hash,
            call.samples,
            model=endpoint.model,
            content=call.request.content(endpoint.kind, endpoint.model),
            worst=worst,
            ceiling_tokens=endpoint.budget_tokens,
            ceiling_usd=endpoint.budget_usd,
        )

    async def _not_now(self, call: Call, begun: Begun) -> bool:
        """Deal with a call that was not begun; return whether to try it again at once."""
        if begun.state == "known":
            call.samples = tuple(sample for sample in call.samples if sample not in begun.known)
            self.done(call.keys(begun.known), self.spent)
            return bool(call.samples)
        if begun.state == "claimed":
            self.waiting.append(call)
            await self._sleep(_CLAIMED_S)
        elif self.under_way:  # their worst cases count; their actual cost may leave room
            self.waiting.appendleft(call)
            await self.settled.wait()
        else:
            self.over_budget = self._too_much(call, begun.spent)
            self._fail(call, self.over_budget)
        return False

    async def _not_sent(self, call: Call, attempt: int) -> None:
        def write() -> None:
            self.journal.end(attempt, result="not_sent", status=None, usage=None, cost=Cost(0, 0.0))
            self.journal.release(self.owner, call.content_hash, call.samples)

        await self.commits.submit(write)

    def _served(self, reply: Reply) -> str:
        return reply.served_model or self.endpoint.model

    def _judged(self, call: Call, reply: Reply) -> tuple[dict[int, Outcome], list[Failure]]:
        """Return a call's outcomes by sample, and those that broke off."""
        kept: dict[int, Outcome] = {}
        broken: list[Failure] = []
        for sample, choice in zip(call.samples, reply.choices, strict=False):
            outcome = read_choice(choice, call.request, self._served(reply))
            if isinstance(outcome, Failure) and outcome.asked_again:
                broken.append(outcome)
            else:
                kept[sample] = outcome
        return kept, broken

    def _keep(self, call: Call, attempt: int, ticket: Ticket, reply: Reply, outcomes: Mapping[int, Outcome]) -> None:
        """Hand answers to the journal. This worker's next call is begun after them, if possible in the same
        transaction, and sent after it; waiting for two separate syncs would double the wait."""
        served = self._served(reply)
        given = dict(zip(call.samples, reply.choices, strict=False))
        choices = {sample: given[sample] for sample in outcomes}
        kinds = {s: outcome.kind if isinstance(outcome, Failure) else "answer" for s, outcome in outcomes.items()}
        cost = self._cost(reply.usage)

        def write() -> tuple[str, Cost]:
            first = self.journal.keep(
                attempt,
                call.content_hash,
                model=self.endpoint.model,
                served_model=served,
                choices=choices,
                kinds=kinds,
            )
            spent = self.journal.end(attempt, result="answered", status=200, usage=reply.usage, cost=cost)
            self.journal.release(self.owner, call.content_hash, call.samples)
            return first, spent

        async def count(written: asyncio.Future[tuple[str, Cost]]) -> None:
            try:
                first, self.spent = await written
                self._ended(ticket, cost)
                self._require_same_model(served, first)
                self.failed_in_a_row = 0
                self.done(call.keys(choices), self.spent)
            except Exception as error:
                self._end_with(error)

        task = asyncio.create_task(count(self.commits.submit(write)))
        self.being_kept.add(task)
        task.add_done_callback(self.being_kept.discard)
        if rest := tuple(sample for sample in call.samples if sample not in choices):
            self.waiting.appendleft(Call(call.content_hash, call.request, rest))

    def _require_same_model(self, served: str, first: str) -> None:
        if served != first:
            raise TeacherError(
                f"{self.endpoint.url} answered as '{served}', but earlier answers to model '{self.endpoint.model}' in "
                f"journal {self.journal.path} came from '{excerpt(first)}'. Labels of two teachers must not be mixed: "
                "ask for a dated model name, or choose a new journal"
            )

    async def _may_try_again(self, call: Call, attempt: int, ticket: Ticket, trouble: Trouble) -> bool:
        """Settle a call without an answer, and wait until it may be made again; return False if it may not."""
        asked_s = trouble.retry_after_s
        last = not trouble.may_pass or call.tries >= self.endpoint.tries
        last = last or (asked_s is not None and asked_s > LONGEST_RETRY_AFTER_S)
        cost = self._cost(trouble.usage) or (None if trouble.charged else Cost(0, 0.0))

        def write() -> Cost:
            spent = self.journal.end(
                attempt, result=trouble.kind, status=trouble.status, usage=trouble.usage, cost=cost
            )
            if last:
                self.journal.release(self.owner, call.content_hash, call.samples)
            return spent

        self.spent = await self.commits.submit(write)
        self._ended(ticket, cost)
        if trouble.fatal:
            what, to, do = "does not serve", " to us", "Check base_url, model and the key that key_env names"
            if trouble.status in (400, 422):
                what, to = "rejects requests to", ""
                do = advice(trouble.detail) or "Check which setting of teacher.api it refers to"
            raise TeacherError(
                f"{self.endpoint.url} {what} model '{self.endpoint.model}'{to}: {trouble.detail.rstrip('.')}. {do}; "
                "earlier answers are in the journal"
            )
        if trouble.unreachable and not self.reached and call.tries >= min(_TRIES_TO_REACH, self.endpoint.tries):
            raise TeacherError(
                f"{trouble.detail} ({call.tries} tries), and there was never any answer. Check base_url and that the "
                "server runs; earlier answers are in the journal"
            )
        if last:
            after = f" (asked to wait {asked_s:.0f} s)" if asked_s else ""
            tries = f", {call.tries} tries" if call.tries > 1 else ""
            self._fail(call, Failure(trouble.kind, f"{trouble.detail}{after}{tries}"))
            self._count_failure(trouble)
            return False
        if asked_s:
            self.limits.pause(asked_s)
        await self._sleep(back_off_s(call.tries, asked_s, self.rng))
        return True

    def _count_failure(self, trouble: Trouble) -> None:
        self.failed_in_a_row += trouble.kind != "refused"
        if self.failed_in_a_row >= _HOPELESS:
            raise TeacherError(
                f"{self.failed_in_a_row} requests in a row to {self.endpoint.url} failed, the last with: "
                f"{trouble.kind}, {trouble.detail}. Earlier answers are in the journal; "
                f"{_to_do(trouble)}"
            )

    def _fail(self, call: Call, failure: Failure) -> None:
        self.failures |= dict.fromkeys(call.keys(), failure)

    def _ended(self, ticket: Ticket, cost: Cost | None) -> None:
        """Free room for others: a call has ended and is in the journal."""
        if cost is not None:
            self.limits.settle(ticket, cost.tokens)
        self.under_way -= 1
        self.settled.set()
        self.settled = asyncio.Event()

    def _too_much(self, call: Call, spent: Cost) -> Failure:
        """Describe each ceiling that the call could exceed."""
        worst, usd, tokens, parts = self._worst(call), self.endpoint.budget_usd, self.endpoint.budget_tokens, []
        if usd is not None and spent.usd + worst.usd > usd:
            parts.append(
                f"budget_usd is {usd:g}: ${spent.usd:.4f} was spent, and the next call may cost ${worst.usd:.4f}"
            )
        if tokens is not None and spent.tokens + worst.tokens > tokens:
            parts.append(
                f"budget_tokens is {tokens}: {spent.tokens} were spent, and the next call may take {worst.tokens}"
            )
        return Failure("over_budget", "; ".join(parts))

    def _cost(self, usage: tuple[int, int] | None) -> Cost | None:
        return None if usage is None else Cost(sum(usage), self.endpoint.usd(*usage))

    def _worst(self, call: Call) -> Cost:
        prompt = call.request.most_prompt_tokens()
        completion = call.request.max_tokens * len(call.samples)
        return Cost(prompt + completion, self.endpoint.usd(prompt, completion))

    def _body(self, call: Call) -> bytes:
        endpoint = self.endpoint
        return call.request.body(endpoint.kind, endpoint.model, endpoint.limit_field, len(call.samples))

    async def _admitted(self, tokens: int) -> Ticket | None:
        while not self.stop.is_set():
            ticket = self.limits.admit(tokens)
            if isinstance(ticket, Ticket):
                return ticket
            await self._sleep(ticket)
        return None

    async def _sleep(self, seconds: float) -> None:
        """Wait, but no longer than until the run is stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            pass


def _trouble_of(broken: Failure, reply: Reply) -> Trouble:
    """Return a broken answer's trouble: one that broke off may succeed next time; an unknown ending would recur."""
    passes = broken.kind == "server_error"
    return Trouble(broken.kind, broken.detail, 200, may_pass=passes, charged=True, usage=reply.usage)


def _to_do(trouble: Trouble) -> str:
    """Return what to change before starting again, after a request that was rejected or could not be answered."""
    hint = advice(trouble.detail) if trouble.kind == "rejected" else None
    return f"{hint}, and start again" if hint else "start again once the cause is removed"
