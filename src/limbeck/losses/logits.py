"""Terms on the teacher's class logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.numerics.divergences import forward_kl
from limbeck.types import Batch, Needs, Shapes, Signal

__all__ = ["ForwardKL"]


@dataclass(frozen=True)
class ForwardKL:
    """Soft targets: ``T^2 KL(teacher_T || student_T)`` per row (Hinton et al. 2015)."""

    loss_temperature: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.loss_temperature < float("inf"):
            raise ConfigError(f"loss_temperature must be a number above 0, not {self.loss_temperature}")

    @property
    def needs(self) -> Needs:
        return Needs(logits=True)

    def bind(self, shapes: Shapes) -> ForwardKL:
        return self

    def counted(self, batch: Batch) -> Tensor:
        return torch.ones_like(batch["rows_B"], dtype=torch.bool)

    def values(self, student: Signal, batch: Batch) -> Tensor:
        return forward_kl(
            teacher_logits=batch["signal"]["logits_BC"],
            student_logits=student["logits_BC"],
            loss_temperature=self.loss_temperature,
        )
