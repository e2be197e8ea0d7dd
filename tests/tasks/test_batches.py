"""Rows are worked on together, and a bad one takes none of its neighbours with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from limbeck.errors import DataError
from limbeck.tasks.batches import batches


@pytest.mark.parametrize("bad", range(6))
def test_what_came_before_an_error_comes_first(bad: int) -> None:
    def rows() -> Iterator[int]:
        yield from range(bad)
        raise DataError("bad row")

    found: list[int] = []
    with pytest.raises(DataError):
        found.extend(row for batch in batches(rows(), 2) for row in batch)
    assert found == list(range(bad))


def test_nothing_makes_no_batch() -> None:
    assert list(batches([], 2)) == []
