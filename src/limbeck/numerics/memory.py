"""How much memory has been used?"""

from __future__ import annotations

import sys

import torch

__all__ = ["peak_memory_bytes"]


def peak_memory_bytes() -> int:
    """Return the peak so far: of the GPU where there is one, else of this process (resident)."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)  # bytes on macOS, KiB elsewhere
