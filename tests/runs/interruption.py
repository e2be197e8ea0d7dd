"""A run that is cut off from within."""

from __future__ import annotations

import contextlib
from typing import Any


class InterruptAfter:
    """A progress display that stops the program after some steps."""

    def __init__(self, advances: int) -> None:
        self._left = advances

    def track(self, title: str, total: int, done: int = 0) -> Any:
        def update(n: int, note: str = "") -> None:
            self._left -= 1
            if self._left <= 0:
                raise KeyboardInterrupt

        return contextlib.nullcontext(update)

    def log(self, message: str) -> None:
        pass


class StopAfter(InterruptAfter):
    """Stops the program after some optimiser steps of the distilled student."""

    def track(self, title: str, total: int, done: int = 0) -> Any:
        def update(n: int, note: str = "") -> None:
            self._left -= "distilled student" in title
            if self._left < 0:
                raise KeyboardInterrupt

        return contextlib.nullcontext(update)
