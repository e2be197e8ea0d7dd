"""Many small writes, one sync: operations that wait for the journal at the same time share a transaction.

A sync to disk takes milliseconds. A run with 32 concurrent calls would otherwise wait longer for the disk
than for the teacher.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from limbeck.teachers.chat.journal import Journal

__all__ = ["GroupCommit"]

T = TypeVar("T")
_Waiting = list[tuple[Callable[[], Any], asyncio.Future[Any]]]


class GroupCommit:
    """A queue of operations on a journal, with its own thread. Belongs to one event loop; `close` ends the thread."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="limbeck-journal")
        self._waiting: _Waiting = []
        self._writer: asyncio.Task[None] | None = None

    def submit(self, operation: Callable[[], T]) -> asyncio.Future[T]:
        """Queue `operation`; the future resolves to its return value once it is committed.

        Operations are committed in the order in which they were submitted, in one transaction or several: anything
        submitted earlier is on disk by then. The future raises `StorageError` if the commit fails.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((operation, future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return future

    def close(self) -> None:
        """Wait for the running transaction and end the thread."""
        self._thread.shutdown()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                results = await loop.run_in_executor(self._thread, self._commit, [op for op, _ in batch])
            except BaseException as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                if not isinstance(error, Exception):
                    raise
            else:
                for (_, future), result in zip(batch, results, strict=True):
                    if not future.done():
                        future.set_result(result)
        self._writer = None

    def _commit(self, operations: list[Callable[[], Any]]) -> list[Any]:
        with self._journal.transaction():
            return [operation() for operation in operations]
