"""limbeck: distil a large language model into a small one, and report what was kept, what was lost, and the cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.runs.flow import distill

__all__ = ["distill"]


def __getattr__(name: str) -> Any:
    # Load on first use: `limbeck --help` and the report work without loading torch.
    if name == "distill":
        from limbeck.runs.flow import distill

        return distill
    raise AttributeError(f"module 'limbeck' has no attribute '{name}'")
