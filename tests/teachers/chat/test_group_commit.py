"""Writes that wait together share a transaction, and none counts before it is committed."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import StorageError
from limbeck.teachers.chat.group_commit import GroupCommit
from limbeck.teachers.chat.journal import Journal


class Counted(Journal):
    """Counts its transactions, and can refuse them."""

    transactions = 0
    full = False

    @contextmanager
    def transaction(self) -> Any:
        with super().transaction():
            yield
            self.transactions += 1
            if self.full:
                raise StorageError("full")


@pytest.fixture
def counted(tmp_path: Path) -> Any:
    with Counted(tmp_path / "journal.sqlite") as journal:
        yield journal


def test_thirty_two_writes_need_a_few_transactions(counted: Counted) -> None:
    async def write() -> list[int]:
        commits = GroupCommit(counted)
        try:
            return await asyncio.gather(*(commits.submit(lambda n=n: n * n) for n in range(32)))
        finally:
            commits.close()

    assert asyncio.run(write()) == [n * n for n in range(32)]
    assert counted.transactions <= 2


def test_if_the_commit_fails_so_do_all_who_wait_for_it(counted: Counted) -> None:
    async def write() -> list[Any]:
        commits = GroupCommit(counted)
        try:
            counted.full = True
            failed = await asyncio.gather(*(commits.submit(lambda: 1) for _ in range(5)), return_exceptions=True)
            counted.full = False
            return [*failed, await commits.submit(lambda: 2)]
        finally:
            commits.close()

    *failed, later = asyncio.run(write())
    assert [type(error) for error in failed] == [StorageError] * 5
    assert later == 2
