"""How far a target has moved from the student to the teacher: the share t of TAID, growing as the student learns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from limbeck.errors import ConfigError

__all__ = ["GrowingShare", "TeacherShare"]

_LEAST_LOSS = 1e-15


@dataclass(frozen=True)
class GrowingShare:
    """How t of ``KL(p_t || q)`` grows over a stage (Shing et al. 2025, TAID, arXiv:2501.16937, section 3.2).

    After step n of N with the loss J_n, and J_{n-1} the one before,

        m <- momentum m + (1 - momentum) (J_{n-1} - J_n) / J_{n-1}
        t <- min(end, max(start + (end - start) n / N, t + step_size sigmoid(m) (1 - t)))

    so it grows at least linearly, and faster while the loss falls. The defaults are the authors'.
    """

    start: float = 0.4
    end: float = 1.0
    step_size: float = 5e-4
    """alpha; 0: t grows linearly."""
    momentum: float = 0.99
    """beta."""

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= 1:
            raise ConfigError(
                f"the teacher's share must rise within 0 and 1, not from {self.start} to {self.end}: give a start "
                "that is at most the end"
            )
        if not (0 <= self.step_size <= 1 and 0 <= self.momentum < 1):
            raise ConfigError(
                f"step_size must be from 0 to 1 and momentum from 0 to below 1, not {self.step_size} and "
                f"{self.momentum}"
            )


class TeacherShare:
    """t of one stage at one moment."""

    def __init__(self, growth: GrowingShare) -> None:
        self._growth = growth
        self.value = growth.start
        self._momentum = 0.0
        self._last_loss: float | None = None

    def advance(self, loss: float, progress: float) -> None:
        """Go on to the next optimiser step.

        Args:
            loss: the term's mean over the step, in nats.
            progress: share of the stage's steps that are done.
        """
        growth, grown = self._growth, self.value
        if self._last_loss is not None:
            change = (self._last_loss - loss) / max(self._last_loss, _LEAST_LOSS)
            self._momentum = growth.momentum * self._momentum + (1 - growth.momentum) * change
            grown += growth.step_size * _sigmoid(self._momentum) * (1 - self.value)
        least = growth.start + (growth.end - growth.start) * progress
        self.value = min(growth.end, max(least, grown))
        self._last_loss = loss

    def state(self) -> dict[str, Any]:
        """Return what later steps depend on, as JSON holds it exactly."""
        return {"share": self.value, "momentum": self._momentum, "last_loss": self._last_loss}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.value, self._momentum, self._last_loss = state["share"], state["momentum"], state["last_loss"]


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0
