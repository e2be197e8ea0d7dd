"""How much memory work takes beyond what was resident before it (Linux), and how repeated figures are shown."""

from __future__ import annotations

import ctypes
import statistics
from pathlib import Path

__all__ = ["peak_bytes", "spread", "start_anew"]


def start_anew() -> int:
    """Give free memory back to the system, let the peak start anew, and return the bytes that are resident now."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status_bytes("VmRSS")


def peak_bytes() -> int:
    """Return the most bytes that were resident since `start_anew`."""
    return _status_bytes("VmHWM")


def spread(values: list[float], digits: int = 2) -> str:
    """Return median and range."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))
