"""Scores of articles on disk: computed scores survive a kill at any moment."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import StorageError
from limbeck.types import Update

__all__ = ["ScoreJournal"]

_AT_ONCE = 500
_DAMAGE = (sqlite3.Error, TypeError, ValueError)
"""A damaged file may hold anything: text in place of a number, or bytes that are not UTF-8, even in messages."""
_SCHEMA = "CREATE TABLE IF NOT EXISTS scores (key BLOB PRIMARY KEY, score REAL NOT NULL) WITHOUT ROWID"


class ScoreJournal:
    """Scores of questions, each under a hash of all that it depends on.

    Args:
        path: the SQLite file; created if it does not exist.

    Raises:
        StorageError: the file cannot be opened, or is not a score journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._base = sqlite3.connect(path, isolation_level=None)
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            self._base.execute(_SCHEMA)
        except _DAMAGE as error:
            raise self._refused(error) from error

    def __enter__(self) -> ScoreJournal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._base.close()

    def scores(
        self,
        asker: str,
        questions: Sequence[tuple[str, ...]],
        ask: Callable[[Sequence[int], Update], Sequence[float | None]],
        update: Update,
        *,
        batch: int = 64,
    ) -> NDArray[np.float64]:
        """Return the score of each question, NaN for no score; only questions that are not on disk are asked.

        Args:
            asker: name of the scorer, with all settings that change a score.
            questions: the texts that make each question; equal ones are asked once.
            ask: scores the questions at these indices; ``None`` for one without a score, which is asked again by the
                next call.
            update: called for each question that is done.
            batch: questions that are asked, and then saved, at a time.

        Raises:
            StorageError: the scores cannot be read or written.
        """
        keys = [_key(asker, question) for question in questions]
        known = self._read(keys)
        first_with: dict[bytes, int] = {}
        for index, key in enumerate(keys):
            if key not in known:
                first_with.setdefault(key, index)
        missing = list(first_with.values())
        update(len(questions) - len(missing))
        for start in range(0, len(missing), batch):
            indices = missing[start : start + batch]
            found = [
                (keys[index], float(score))
                for index, score in zip(indices, ask(indices, lambda n, note="": None), strict=True)
                if score is not None
            ]
            self._keep(found)
            known.update(found)
            update(len(indices))
        return np.array([known.get(key, np.nan) for key in keys], dtype=np.float64)

    def _read(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        found: dict[bytes, float] = {}
        wanted = list(dict.fromkeys(keys))
        try:
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                indices = ",".join("?" * len(part))
                rows = self._base.execute(f"SELECT key, score FROM scores WHERE key IN ({indices})", part)
                found.update({bytes(key): float(score) for key, score in rows})
        except _DAMAGE as error:
            raise self._refused(error) from error
        return found

    def _keep(self, found: Sequence[tuple[bytes, float]]) -> None:
        try:
            self._base.execute("BEGIN IMMEDIATE")
            self._base.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", found)
            self._base.execute("COMMIT")
        except _DAMAGE as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> StorageError:
        return StorageError(
            f"the scores in {self._path} cannot be read or written: {error}. What was saved is untouched; "
            "free some space, or move the file away to start again"
        )


def _key(asker: str, question: tuple[str, ...]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in (asker, *question):
        content = part.encode()
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.digest()
