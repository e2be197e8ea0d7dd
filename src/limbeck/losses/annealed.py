"""Soft targets whose temperature falls to 1 while a stage runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import Output, Term
from limbeck.types import Batch, Needs, Shapes, Signal

__all__ = ["AnnealedTargets"]


class _Clock:
    """The share of a stage's steps that are done."""

    done = 0.0


@dataclass(frozen=True)
class AnnealedTargets(Term):
    """`ForwardKL` without its factor ``T^2``, at ``T = T0 + (1 - T0) n / N`` in the step after n of N.

    Of real values, ``((z_S - z_T) / T)^2``.

    Reference: Wu et al. 2023, "AD-KD", arXiv:2305.10010, released code, which takes n and N in epochs.
    """

    suits = frozenset[Output](("classes", "tags", "labels", "values"))
    loss_temperature: float = 2.0
    """T0, and T in the first step."""
    output: Output = "classes"
    clock: _Clock | None = field(default=None, kw_only=True, compare=False)
    """Set by `bind`."""

    def __post_init__(self) -> None:
        if not 0 < self.loss_temperature < float("inf"):
            raise ConfigError(f"loss_temperature must be a number above 0, not {self.loss_temperature}")

    @property
    def needs(self) -> Needs:
        return Needs(logits=True)

    def bind(self, shapes: Shapes) -> AnnealedTargets:
        return replace(self, clock=_Clock())

    def of(self, output: Output) -> Term:
        return replace(self, output=output)

    @property
    def temperature(self) -> float:
        """T of the current step."""
        assert self.clock is not None, "bind first"
        return self.loss_temperature + (1 - self.loss_temperature) * self.clock.done

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        # ForwardKL and its equivalents for labels have a factor T^2; for real values they have no temperature.
        now = ForwardKL(self.temperature).of(self.output)
        return now.values(student, teacher, batch) / self.temperature**2

    def state(self) -> dict[str, Any]:
        assert self.clock is not None, "bind first"
        return {"done": self.clock.done}

    def restore(self, state: Mapping[str, Any]) -> None:
        assert self.clock is not None, "bind first"
        self.clock.done = float(state["done"])

    def step_end(self, mean: float, progress: float) -> None:
        assert self.clock is not None, "bind first"
        self.clock.done = progress

    def logged(self) -> dict[str, float]:
        return {"loss_temperature": self.temperature}
