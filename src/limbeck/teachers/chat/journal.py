"""The journal: one SQLite file that stores every answer that was paid for, and every call that was made.

    requests   what was asked, by content hash
    answers    one element of the API's ``choices`` as received, by content hash and sample
    attempts   one row per HTTP call, written before it is sent, with its worst case; settled when it ends
    claims     which process is asking for what
    spent      one row: the sum over attempts

An attempt that never ends (the process was killed, the connection lost, the time exceeded) keeps its worst case,
since the provider may have charged for it. So the real spending never exceeds the journal's, and a ceiling in the
journal holds over restarts and for several processes. The journal never contains an API key.

Answers are stored as received and judged when they are read, so that a better judgement needs no new call. Only
what was paid for is stored: the next run repeats calls that failed.

Transactions are WAL with a full sync: committed data survives a kill and a power cut. The file must be on a
local disk, since SQLite's locks do not work on network disks.
"""

from __future__ import annotations

import json
import operator
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from limbeck.errors import DataError
from limbeck.teachers.chat.answer import Failure, Outcome, read_choice
from limbeck.teachers.chat.damage import guarded, reading
from limbeck.teachers.chat.request import ChatRequest
from limbeck.teachers.chat.said import excerpt

__all__ = ["Begun", "Cost", "Journal", "JournalSummary"]

_APPLICATION_ID = 0x4C424A31  # "LBJ1"
_VERSION = 1
_BUSY_S = 60.0
"""Maximum wait of one process for another's transaction; those take milliseconds."""
_MOST_CHECKED_BYTES = 64 * 2**20
"""A journal up to this size is checked when it is opened, which takes at most 0.1 s."""

_SCHEMA = """
CREATE TABLE requests (hash TEXT PRIMARY KEY, model TEXT NOT NULL, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE answers (
    hash TEXT NOT NULL, sample INTEGER NOT NULL, model TEXT NOT NULL, served_model TEXT NOT NULL,
    kind TEXT NOT NULL, choice TEXT NOT NULL, attempt INTEGER NOT NULL, UNIQUE (hash, sample)
);
CREATE INDEX answers_by_model ON answers (model);
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY, hash TEXT NOT NULL, samples INTEGER NOT NULL, model TEXT NOT NULL, started_s REAL NOT NULL,
    ended_s REAL, result TEXT, status INTEGER, tokens INTEGER NOT NULL, usd REAL NOT NULL,
    prompt_tokens INTEGER, completion_tokens INTEGER
);
CREATE TABLE claims (
    hash TEXT NOT NULL, sample INTEGER NOT NULL, owner TEXT NOT NULL, PRIMARY KEY (hash, sample)
) WITHOUT ROWID;
CREATE TABLE spent (tokens INTEGER NOT NULL, usd REAL NOT NULL);
INSERT INTO spent VALUES (0, 0);
"""


@dataclass(frozen=True)
class Cost:
    """Tokens of prompt and answer together, and dollars."""

    tokens: int
    usd: float


@dataclass(frozen=True)
class Begun:
    """The result of trying to begin a call."""

    state: Literal["go", "known", "claimed", "over_budget"]
    """Send it; some samples are already in the journal; another process asks for some; it could exceed a ceiling."""
    attempt: int = 0
    known: tuple[int, ...] = ()
    """The samples that are already in the journal."""
    spent: Cost = Cost(0, 0.0)
    """The spending that leaves no room for it."""


@dataclass(frozen=True)
class JournalSummary:
    """A journal's content in numbers."""

    answers: dict[str, int]
    """Paid outcomes by kind: ``answer``, or a failure's kind as judged on arrival."""
    calls: dict[str, int]
    """HTTP calls by how they ended: ``answered``, a failure's kind, or ``unknown`` for those that never ended."""
    served: dict[str, dict[str, int]]
    """For each requested model: the models that answered, and how often."""
    spent: Cost
    unknown: Cost
    """The part of `spent` that is the worst case of calls that never ended, or ended without reporting their usage."""


class Journal:
    """An open journal. Use it as a context manager, or `close` it.

    Args:
        path: the file; created if missing.
        must_exist: do not create it.

    Raises:
        DataError: the file is something else, of a later version, or missing with `must_exist`.
        StorageError: it cannot be opened or written.
    """

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        from filelock import FileLock

        if must_exist and not path.is_file():
            raise DataError(f"there is no journal {path}; a run with a chat teacher creates one")
        if "\0" in str(path):
            raise DataError(f"{str(path)!r} is not a valid file name for a journal")
        self.path = path
        self._first_served: dict[str, str] = {}
        self._lock = threading.RLock()
        with guarded(self.path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):  # two processes that create the file at once would see half a schema
                self._connection = sqlite3.connect(
                    path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
                )
                try:
                    with reading(self.path):
                        self._prepare()
                except BaseException:
                    self._connection.close()
                    raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Group the calls inside into one transaction: one sync to disk, all or nothing."""
        with self._lock, guarded(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._first_served.clear()
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def owner(self) -> Iterator[str]:
        """Yield a name under which calls can be claimed. Claims end with the block, or with the process."""
        from filelock import FileLock

        name = uuid.uuid4().hex
        lock = FileLock(self._lock_of(name), thread_local=False)
        lock.acquire()
        try:
            yield name
        finally:
            try:
                with self.transaction():
                    self._connection.execute("DELETE FROM claims WHERE owner = ?", (name,))
            finally:
                lock.release()
                self._lock_of(name).unlink(missing_ok=True)

    def outcome(self, content_hash: str, request: ChatRequest) -> Outcome | None:
        """Return the answer to a request's sample, judged again, or None if nothing was paid for yet."""
        place = (content_hash, request.sample)
        with reading(self.path):
            query = "SELECT choice, model, served_model FROM answers WHERE hash = ? AND sample = ?"
            row = self._connection.execute(query, place).fetchone()
            if row is None:
                return None
            choice, model, served_model = row
            first = self._served_first(model)
            if served_model != first:
                detail = f"answered by '{excerpt(served_model)}', but '{excerpt(str(first))}' answered before"
                return Failure("wrong_model", detail)
            outcome = read_choice(json.loads(choice), request, excerpt(served_model))
        if isinstance(outcome, Failure) and outcome.asked_again:  # stored by an earlier version, which accepted it
            with self.transaction():
                query = "DELETE FROM answers WHERE hash = ? AND sample = ? AND choice = ?"
                self._connection.execute(query, (*place, choice))
            return None
        return outcome

    def begin(
        self,
        owner: str,
        content_hash: str,
        samples: Sequence[int],
        *,
        model: str,
        content: str,
        worst: Cost,
        ceiling_tokens: int | None,
        ceiling_usd: float | None,
    ) -> Begun:
        """Claim a call and reserve its worst case. Call inside `transaction`, before the call is sent."""
        marks = ", ".join("?" * len(samples))
        where = f"WHERE hash = ? AND sample IN ({marks})"
        execute = self._connection.execute
        known = execute(f"SELECT sample FROM answers {where}", (content_hash, *samples)).fetchall()
        if known:
            return Begun("known", known=tuple(sample for (sample,) in known))
        others = execute(f"SELECT DISTINCT owner FROM claims {where} AND owner != ?", (content_hash, *samples, owner))
        if any(self._is_alive(other) for (other,) in others.fetchall()):
            return Begun("claimed")
        spent = self.spent()
        over_tokens = ceiling_tokens is not None and spent.tokens + worst.tokens > ceiling_tokens
        over_usd = ceiling_usd is not None and spent.usd + worst.usd > ceiling_usd * (1 + 1e-9)  # allows for rounding
        if over_tokens or over_usd:
            return Begun("over_budget", spent=spent)
        execute("INSERT OR IGNORE INTO requests VALUES (?, ?, ?)", (content_hash, model, content))
        self._connection.executemany(
            "INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", [(content_hash, sample, owner) for sample in samples]
        )
        cursor = execute(
            "INSERT INTO attempts (hash, samples, model, started_s, tokens, usd) VALUES (?, ?, ?, ?, ?, ?)",
            (content_hash, len(samples), model, time.time(), worst.tokens, worst.usd),
        )
        self._spend(worst.tokens, worst.usd)
        return Begun("go", cursor.lastrowid or 0)

    def keep(
        self,
        attempt: int,
        content_hash: str,
        *,
        model: str,
        served_model: str,
        choices: Mapping[int, Mapping[str, Any]],
        kinds: Mapping[int, str],
    ) -> str:
        """Store the answers of a call, by sample. Call inside `transaction`, with `end`.

        Returns:
            The model that gave the first answer to `model` in this journal. If it is not `served_model`, the answer
            was paid for and is stored, but counts as a wrong model's.
        """
        first = self._served_first(model) or served_model
        if served_model != first:
            kinds = dict.fromkeys(kinds, "wrong_model")
        self._connection.executemany(
            "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (content_hash, sample, model, served_model, kind, json.dumps(choices[sample]), attempt)
                for sample, kind in kinds.items()
            ],
        )
        return first

    def end(
        self,
        attempt: int,
        *,
        result: str,
        status: int | None,
        usage: tuple[int, int] | None,
        cost: Cost | None,
    ) -> Cost:
        """Settle a call and return the total cost so far. Call inside `transaction`.

        Args:
            attempt: the number from `begin`.
            result: how it ended.
            status: the HTTP status, if any.
            usage: tokens of prompt and answer, if the API reported them.
            cost: its cost; None if unknown, which keeps its worst case.
        """
        prompt_tokens, completion_tokens = usage or (None, None)
        self._connection.execute(
            "UPDATE attempts SET ended_s = ?, result = ?, status = ?, prompt_tokens = ?, completion_tokens = ? "
            "WHERE id = ?",
            (time.time(), result, status, prompt_tokens, completion_tokens, attempt),
        )
        if cost is not None:
            worst = self._cost("SELECT tokens, usd FROM attempts WHERE id = ?", attempt)
            self._connection.execute(
                "UPDATE attempts SET tokens = ?, usd = ? WHERE id = ?", (cost.tokens, cost.usd, attempt)
            )
            self._spend(cost.tokens - worst.tokens, cost.usd - worst.usd)
        return self.spent()

    def release(self, owner: str, content_hash: str, samples: Sequence[int]) -> None:
        """Release claims, so that another process may ask. Call inside `transaction`."""
        self._connection.executemany(
            "DELETE FROM claims WHERE hash = ? AND sample = ? AND owner = ?",
            [(content_hash, sample, owner) for sample in samples],
        )

    def spent(self) -> Cost:
        """Return the total cost so far, with calls in flight at their worst case."""
        return self._cost("SELECT tokens, usd FROM spent")

    def summary(self) -> JournalSummary:
        """Summarise the journal."""
        answers = "SELECT kind, count(*) FROM answers GROUP BY kind ORDER BY 2 DESC, 1"
        calls = "SELECT coalesce(result, 'unknown'), count(*) FROM attempts GROUP BY 1 ORDER BY 2 DESC, 1"
        unknown = "SELECT coalesce(sum(tokens), 0), coalesce(sum(usd), 0.0) FROM attempts WHERE prompt_tokens IS NULL"
        models = "SELECT model, served_model, count(*) FROM answers GROUP BY 1, 2 ORDER BY 1, 3 DESC"
        served: dict[str, dict[str, int]] = {}
        with reading(self.path):
            for asked, answered, count in self._connection.execute(models):
                served.setdefault(excerpt(asked), {})[excerpt(answered)] = count
            return JournalSummary(
                answers={excerpt(kind): count for kind, count in self._connection.execute(answers)},
                calls={excerpt(result): count for result, count in self._connection.execute(calls)},
                served=served,
                spent=self.spent(),
                unknown=self._cost(unknown),
            )

    def _prepare(self) -> None:
        execute = self._connection.execute
        tables = self._one("SELECT count(*) FROM sqlite_master")
        if tables == 0:
            execute("PRAGMA journal_mode = WAL")
            marks = f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_VERSION};"
            self._connection.executescript(f"BEGIN; {_SCHEMA} {marks} COMMIT;")
        elif self._one("PRAGMA application_id") != _APPLICATION_ID:
            raise DataError(f"{self.path} is a database, but not a chat teacher's journal; choose another file")
        elif (version := self._one("PRAGMA user_version")) > _VERSION:
            raise DataError(
                f"journal {self.path} has format {version}, this version of limbeck reads up to {_VERSION}; "
                "upgrade limbeck, or choose another file"
            )
        elif self.path.stat().st_size <= _MOST_CHECKED_BYTES:
            fault = self._one("PRAGMA quick_check(1)")
            if fault != "ok":
                raise sqlite3.DatabaseError(fault)
        execute("PRAGMA synchronous = FULL")

    def _one(self, query: str, *arguments: Any) -> Any:
        return self._connection.execute(query, arguments).fetchone()[0]

    def _cost(self, query: str, *arguments: Any) -> Cost:
        with reading(self.path):
            tokens, usd = self._connection.execute(query, arguments).fetchone()
            return Cost(operator.index(tokens), float(usd))

    def _spend(self, tokens: int, usd: float) -> None:
        self._connection.execute("UPDATE spent SET tokens = tokens + ?, usd = usd + ?", (tokens, usd))

    def _served_first(self, model: str) -> str | None:
        """Return the model that gave the first answer: labels of two teachers are never mixed."""
        if model not in self._first_served:
            query = "SELECT served_model FROM answers WHERE model = ? ORDER BY rowid LIMIT 1"
            row = self._connection.execute(query, (model,)).fetchone()
            if row is None:
                return None
            self._first_served[model] = row[0]
        return self._first_served[model]

    def _lock_of(self, owner: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{owner}.lock")

    def _is_alive(self, owner: str) -> bool:
        """Return whether the process that owns claims still runs; if not, delete its claims."""
        from filelock import FileLock, Timeout

        file = self._lock_of(owner)
        if file.exists():
            lock = FileLock(file)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                return True
            lock.release()
            file.unlink(missing_ok=True)
        self._connection.execute("DELETE FROM claims WHERE owner = ?", (owner,))
        return False
