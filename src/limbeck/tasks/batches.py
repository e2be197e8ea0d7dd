"""How rows that come one by one are worked on together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from limbeck.errors import LimbeckError

__all__ = ["batches"]

T = TypeVar("T")


def batches(rows: Iterable[T], most: int) -> Iterator[list[T]]:
    """Yield lists of up to `most` rows. What came before a row that cannot be used comes before its error, too.

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
