"""Terms on the squared distance of a classifier's outputs from its teacher's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.term import Output, Term
from limbeck.numerics.distances import mean_squared_distance
from limbeck.types import Batch, Needs, Signal

__all__ = ["OutputDistance"]


@dataclass(frozen=True)
class OutputDistance(Term):
    """``T^2 mean_c (f(z_T / T) - f(z_S / T))_c^2`` of each row, f the softmax, or nothing (then T has no effect).

    Reference: the released code of Zhou et al. 2022, "BERT Learns to Teach", arXiv:2106.04570, which takes the mean
    over the C classes; the sum is C times as large.
    """

    suits = frozenset[Output](("classes",))
    loss_temperature: float = 5.0
    compared: Literal["probabilities", "logits"] = "probabilities"
    reaches_teacher: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.loss_temperature < float("inf"):
            raise ConfigError(f"loss_temperature must be a number above 0, not {self.loss_temperature}")

    @property
    def needs(self) -> Needs:
        return Needs(logits=True)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        own, other = (self._read(logits) for logits in (student["logits"], teacher["logits"]))
        distance_B = mean_squared_distance(teacher=other, student=own, reaches_teacher=self.reaches_teacher)
        return self.loss_temperature**2 * distance_B

    def _read(self, logits_BC: Tensor) -> Tensor:
        soft_BC = logits_BC.to(torch.promote_types(logits_BC.dtype, torch.float32)) / self.loss_temperature
        return soft_BC.softmax(dim=-1) if self.compared == "probabilities" else soft_BC
