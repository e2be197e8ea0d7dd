"""TAID: a target between student and teacher that moves towards the teacher as the student learns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from limbeck.errors import ConfigError
from limbeck.losses.tokens import TokenMean
from limbeck.numerics.token_losses import TokenDivergence
from limbeck.types import Needs, Shapes

__all__ = ["InterpolatedKL", "TAIDSchedule", "TAIDShare"]

_LEAST_LOSS = 1e-15


@dataclass(frozen=True)
class TAIDSchedule:
    """Schedule of t in ``KL(p_t || q)`` over a stage (Shing et al. 2025, TAID, arXiv:2501.16937, section 3.2).

    After step n of N, with loss J_n and previous loss J_{n-1},

        m <- momentum m + (1 - momentum) (J_{n-1} - J_n) / J_{n-1}
        t <- min(end, max(start + (end - start) n / N, t + step_size sigmoid(m) (1 - t)))

    so t grows at least linearly, and faster while the loss falls. The defaults are the authors'.
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
                f"the teacher's share must rise within 0 and 1, not from {self.start} to {self.end}: choose a start "
                "that is at most the end"
            )
        if not (0 <= self.step_size <= 1 and 0 <= self.momentum < 1):
            raise ConfigError(
                f"step_size must be from 0 to 1 and momentum from 0 to below 1, not {self.step_size} and "
                f"{self.momentum}"
            )


class TAIDShare:
    """The current t of one stage."""

    def __init__(self, growth: TAIDSchedule) -> None:
        self._growth = growth
        self.value = growth.start
        self._momentum = 0.0
        self._last_loss: float | None = None

    def advance(self, loss: float, progress: float) -> None:
        """Advance to the next optimiser step.

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

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.value, self._momentum, self._last_loss = state["share"], state["momentum"], state["last_loss"]


@dataclass(frozen=True)
class InterpolatedKL(TokenMean):
    """``KL(p_t || q)`` per token, p_t the softmax of t times the teacher's plus 1 - t times the student's logits."""

    schedule: TAIDSchedule = TAIDSchedule()
    share: TAIDShare | None = field(default=None, compare=False)
    """t of a stage; set by `bind`."""

    @property
    def needs(self) -> Needs:
        return Needs(logits=True)

    def bind(self, shapes: Shapes) -> InterpolatedKL:
        return replace(self, share=TAIDShare(self.schedule))

    @property
    def token_loss(self) -> TokenDivergence:
        return TokenDivergence("interpolated_kl", beta=self.schedule.start if self.share is None else self.share.value)

    def state(self) -> dict[str, Any]:
        assert self.share is not None, "bind first"
        return self.share.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        assert self.share is not None, "bind first"
        self.share.restore(state)

    def step_end(self, mean: float, progress: float) -> None:
        assert self.share is not None, "bind first"
        self.share.advance(mean, progress)

    def logged(self) -> dict[str, float]:
        assert self.share is not None, "bind first"
        return {"teacher_fraction": self.share.value}


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0
