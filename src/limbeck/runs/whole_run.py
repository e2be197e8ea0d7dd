"""Progress of a whole run: the number of the current step, and the time left for all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from limbeck.formatting import duration_text
from limbeck.tasks.task import Part
from limbeck.types import Progress, Update

__all__ = ["WholeRun"]

_SURE_AFTER_SECONDS = 2.0
"""Shorter measurements are unreliable."""


class WholeRun:
    """Shows the bars of a run with their number, and estimates the time left for all of it.

    Parts that were not measured yet are estimated from measured ones of the same kind, or else from all. The estimate
    leaves out what a run does outside its bars (loading, comparing, plotting).

    Args:
        shown: shows bars and sentences.
        parts: of the run, in order. A bar that is not among them is shown as it is, or with the number of the part
            that it begins ("TITLE, head"); parts that a resumed run leaves out are skipped.
    """

    def __init__(self, shown: Progress, parts: Sequence[Part]) -> None:
        self._shown = shown
        self._parts = list(parts)
        self._next = 0
        self._measured: dict[str, tuple[float, float]] = {}
        """For each kind: cost and seconds of finished work."""

    def log(self, message: str) -> None:
        """Show one line."""
        self._shown.log(message)

    @contextmanager
    def track(self, title: str, total: int, done: int = 0) -> Iterator[Update]:
        """Open one bar and yield its `Update`."""
        index = next((i for i in range(self._next, len(self._parts)) if self._parts[i].title == title), None)
        if index is None:
            with self._shown.track(self._numbered(title), total, done) as update:
                yield update
            return
        part, self._next = self._parts[index], index + 1
        last = time.monotonic()
        with self._shown.track(f"{index + 1}/{len(self._parts)} {title}", total, done) as show:

            def update(n: int, note: str = "") -> None:
                nonlocal done, last
                now = time.monotonic()
                cost, seconds = self._measured.get(part.kind, (0.0, 0.0))
                self._measured[part.kind] = cost + n * part.cost, seconds + now - last
                done, last = done + n, now
                left = self._seconds_left((total - done) * part.cost, part.kind)
                show(n, note if left is None else f"{note}, all: {duration_text(left)} left".removeprefix(", "))

            yield update

    def _numbered(self, title: str) -> str:
        """Return the title of a bar that was not planned, with the number of the part that it begins, if any."""
        coming = enumerate(self._parts[self._next :], self._next + 1)
        number = next((number for number, part in coming if title.startswith(f"{part.title}, ")), None)
        return title if number is None else f"{number}/{len(self._parts)} {title}"

    def _seconds_left(self, cost: float, kind: str) -> float | None:
        """Return the time for the rest of a part and all parts after it; ``None`` if too little was measured."""
        all_cost, all_seconds = (sum(values) for values in zip(*self._measured.values(), strict=True))
        if all_seconds < _SURE_AFTER_SECONDS or not all_cost:
            return None
        costs = {kind: cost}
        for part in self._parts[self._next :]:
            costs[part.kind] = costs.get(part.kind, 0.0) + part.items * part.cost
        return sum(self._seconds(kind, left, all_seconds / all_cost) for kind, left in costs.items())

    def _seconds(self, kind: str, cost: float, otherwise: float) -> float:
        of_kind, seconds = self._measured.get(kind, (0.0, 0.0))
        return cost * (seconds / of_kind if of_kind and seconds >= _SURE_AFTER_SECONDS else otherwise)
