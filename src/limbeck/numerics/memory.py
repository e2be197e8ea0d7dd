"""How much memory has been used?"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

__all__ = ["peak_memory_bytes"]


def peak_memory_bytes() -> int:
    """Return the peak so far: of the GPU where there is one, else of this process (resident)."""
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
