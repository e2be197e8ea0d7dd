"""How busy other programs keep this machine."""

from __future__ import annotations

import time

__all__ = ["LoadMeter"]


class LoadMeter:
    """Measures, from its creation on, how many processor cores are busy with anything but this process.

    Time that a virtual machine waits for its host counts as busy. In a container it is the whole machine that is
    measured.
    """

    def __init__(self) -> None:
        self._start = _readings()

    def other_cores(self) -> float:
        """Return the cores that others kept busy, on average, until now; 0 if no time has passed."""
        started, busy, own = (now - then for now, then in zip(_readings(), self._start, strict=True))
        return max(0.0, busy - own) / started if started > 0 else 0.0


def _readings() -> tuple[float, float, float]:
    """Return the seconds of a clock, those that all cores were busy, and those that this process kept them busy."""
    import psutil

    times, own = psutil.cpu_times(), psutil.Process().cpu_times()
    # Guest time is part of user time.
    kinds = ("user", "nice", "system", "irq", "softirq", "interrupt", "dpc", "steal")
    busy = sum(getattr(times, kind, 0.0) for kind in kinds)
    return time.monotonic(), busy, own.user + own.system
