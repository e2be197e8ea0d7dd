"""Memory in use, and memory available."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

__all__ = ["device_memory_bytes", "peak_memory_bytes", "resident_memory_bytes"]


def peak_memory_bytes() -> int:
    """Return the peak so far: of the GPU if there is one, else of this process (resident)."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    if sys.platform == "linux":
        # Not getrusage: its peak outlives exec, so a small process would report the peak of its large parent.
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))) * 1024
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS


def resident_memory_bytes() -> int:
    """Return the main memory that this process holds now."""
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))) * 1024
    import psutil

    return int(psutil.Process().memory_info().rss)


def device_memory_bytes() -> int | None:
    """Return the memory of the GPU if there is one, else of the machine; ``None`` if the system does not say."""
    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no such call
        return None
