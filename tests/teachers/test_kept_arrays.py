"""Arrays that are computed batch by batch: kept, gone on with, and computed again where they are damaged or others.

What a teacher's signals ask of them is in `tests/teachers/test_stored.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from limbeck.teachers import kept_arrays
from limbeck.teachers.kept_arrays import keep_arrays, seconds_taken
from limbeck.types import Update

BATCHES = [np.array([4, 0]), np.array([3]), np.array([1, 2])]
WHOLE = np.arange(15, dtype=np.float32).reshape(5, 3)


class Shown:
    """Notes what bars show, and stops the program after some batches."""

    def __init__(self, stop_after: int = 100) -> None:
        self.bars: list[tuple[str, int, int, list[int]]] = []
        self._left = stop_after

    @contextmanager
    def track(self, title: str, total: int, done: int = 0) -> Iterator[Update]:
        updates: list[int] = []
        self.bars.append((title, total, done, updates))

        def update(n: int, note: str = "") -> None:
            updates.append(n)
            self._left -= 1
            if not self._left:
                raise KeyboardInterrupt

        yield update

    def log(self, message: str) -> None:
        pass


def keep(folder: Path, shown: Shown, items: list[int] | None = None) -> list[int]:
    """Keep `WHOLE`, and return which batches were computed."""
    computed: list[int] = []

    def compute(number: int) -> dict[str, NDArray[np.float32]]:
        computed.append(number)
        return {"whole": WHOLE[BATCHES[number]]}

    keep_arrays(compute, BATCHES, folder=folder, fingerprint="one", title="words", progress=shown, items=items)
    return computed


def test_rows_are_where_they_belong(tmp_path: Path) -> None:
    assert keep(tmp_path / "kept", Shown()) == [0, 1, 2]
    assert np.array_equal(np.load(tmp_path / "kept" / "whole.npy"), WHOLE)
    assert seconds_taken(tmp_path / "kept") > 0
    assert keep(tmp_path / "kept", Shown()) == []


def test_a_pass_that_was_cut_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_arrays, "_SAVE_EVERY_BATCHES", 1)
    with pytest.raises(KeyboardInterrupt):
        keep(tmp_path / "kept", Shown(stop_after=2))
    shown = Shown()
    assert keep(tmp_path / "kept", shown, items=[7, 8, 9]) == [2]
    assert shown.bars == [("words", 24, 15, [9])]
    assert np.array_equal(np.load(tmp_path / "kept" / "whole.npy"), WHOLE)
