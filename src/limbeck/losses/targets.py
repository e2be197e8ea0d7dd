"""Terms for regression and multi-label classification.

Gold targets are ``targets_BC``, NaN where unknown: real values, or 1 and 0 for labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.term import Output, Term, predictions
from limbeck.numerics.divergences import forward_kl
from limbeck.types import Batch, Needs, Signal

__all__ = ["BinaryCrossEntropy", "BinaryKL", "SquaredError", "known"]


def known(batch: Batch) -> Tensor:
    """Return which gold values or labels are known, bool ``[B, C]``."""
    return ~torch.isnan(batch["targets_BC"])


@dataclass(frozen=True)
class SquaredError(Term):
    """``mean_c (z_c - y_c)^2`` of each row, over the known gold values, or over all of the teacher's."""

    suits = frozenset[Output](("values",))
    target: Literal["gold", "teacher"] = "gold"
    """Whose values y are."""

    @property
    def needs(self) -> Needs:
        return Needs(labels=self.target == "gold", logits=self.target == "teacher")

    def mask(self, batch: Batch) -> Tensor:
        """Return the rows with a target."""
        return known(batch).any(dim=-1) if self.target == "gold" else predictions(batch)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        found_BC = _float(student["logits"])
        if self.target == "teacher":
            return (found_BC - _float(teacher["logits"].detach())).square().mean(dim=-1)
        targets_BC = batch["targets_BC"].to(found_BC.dtype)
        # NaN is replaced before the difference: in the gradient, 0 times NaN is NaN.
        return _mean_of_known((found_BC - targets_BC.nan_to_num()).square(), batch)


@dataclass(frozen=True)
class BinaryCrossEntropy(Term):
    """``-mean_c (y_c log s(z_c) + (1 - y_c) log s(-z_c))`` of each row, over the known gold labels, in nats.

    s is the logistic function.
    """

    suits = frozenset[Output](("labels",))

    @property
    def needs(self) -> Needs:
        return Needs(labels=True)

    def mask(self, batch: Batch) -> Tensor:
        """Return the rows with a known label."""
        return known(batch).any(dim=-1)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        logits_BC = _float(student["logits"])
        targets_BC = batch["targets_BC"].to(logits_BC.dtype).nan_to_num()
        return _mean_of_known(
            torch.nn.functional.binary_cross_entropy_with_logits(logits_BC, targets_BC, reduction="none"), batch
        )


@dataclass(frozen=True)
class BinaryKL(Term):
    """``T^2 mean_c KL(p_c || q_c)`` of each row; each label is a two-way distribution: present or not.

    The gradient is that of binary cross-entropy with the teacher's probabilities, whose minimum is the teacher's
    entropy; this is 0 when both are equal.
    """

    suits = frozenset[Output](("labels",))
    loss_temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.loss_temperature < float("inf"):
            raise ConfigError(f"loss_temperature must be a number above 0, not {self.loss_temperature}")

    @property
    def needs(self) -> Needs:
        return Needs(logits=True)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        return forward_kl(
            teacher_logits=_there_or_not(teacher["logits"]),
            student_logits=_there_or_not(student["logits"]),
            loss_temperature=self.loss_temperature,
        ).mean(dim=-1)


def _there_or_not(logits_BC: Tensor) -> Tensor:
    """Return logits ``[B, C, 2]``; the first entry of their softmax is the logistic function of the logit."""
    return torch.stack([logits_BC, torch.zeros_like(logits_BC)], dim=-1)


def _mean_of_known(values_BC: Tensor, batch: Batch) -> Tensor:
    known_BC = known(batch)
    return values_BC.masked_fill(~known_BC, 0.0).sum(dim=-1) / known_BC.sum(dim=-1).clamp(min=1)


def _float(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
