"""The memory that a run needs on its device, part by part."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.numerics.memory_plan import MemoryItem, total_bytes

__all__ = ["MemoryPlan", "Phase"]


@dataclass(frozen=True)
class Phase:
    """Peak memory on the device in one part of the run."""

    name: str
    items: list[MemoryItem]

    @property
    def bytes(self) -> float:
        """Sum of the items."""
        return total_bytes(self.items)


@dataclass(frozen=True)
class MemoryPlan:
    """The parts of a run, and whether they fit."""

    device: str
    phases: list[Phase]
    available: float
    """Bytes of the device, or as allowed by the user."""
    batch: str
    """The batch of the figures, in words."""
    advice: list[str]
    """What to change; empty if the run fits."""
    notes: list[str]

    @property
    def worst(self) -> Phase:
        """The part that needs most."""
        return max(self.phases, key=lambda phase: phase.bytes)

    @property
    def fits(self) -> bool:
        """Whether the worst part fits."""
        return self.worst.bytes <= self.available
