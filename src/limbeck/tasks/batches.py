"""Batches of rows that arrive one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from limbeck.errors import LimbeckError

__all__ = ["batches"]

T = TypeVar("T")


def batches(rows: Iterable[T], most: int) -> Iterator[list[T]]:
    """Yield lists of up to `most` rows. Rows before an unusable one are yielded before its error.

    >>> list(batches("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    batch: list[T] = []
    try:
        for row in rows:
            batch.append(row)
            if len(batch) == most:
                yield batch
                batch = []
    except LimbeckError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
