"""Terms on the teacher's logits of classes, per row or per word; also soft targets for tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.targets import BinaryKL, SquaredError
from limbeck.losses.term import ALL_OUTPUTS, Output, Term
from limbeck.numerics.distances import mean_squared_distance
from limbeck.numerics.divergences import forward_kl, soft_cross_entropy
from limbeck.numerics.masking import read_positions
from limbeck.numerics.token_losses import TokenDivergence
from limbeck.types import Batch, Needs, Signal

__all__ = ["ForwardKL", "LogitDistance", "TeacherCrossEntropy"]

_UNSURE = 0.9
"""Entropy, as a share of its largest value, above which a teacher counts as unsure. Alerts from a student this unsure
need review."""


@dataclass(frozen=True)
class ForwardKL(Term):
    """Soft targets: ``T^2 KL(teacher_T || student_T)`` of each row, word, token or mask (Hinton et al. 2015).

    For multi-label classification it is `BinaryKL`, for real values `SquaredError`: the KL divergence of normal
    distributions of variance 1/2, whatever the temperature.
    """

    suits = ALL_OUTPUTS - {"candidates"}
    loss_temperature: float = 2.0
    values_of: Literal["teacher", "gold"] = "teacher"
    """Whose real values a regression model learns."""
    everywhere: bool = False
    """In masked language modelling: at every token that is read, and not only where one was masked."""

    def __post_init__(self) -> None:
        if not 0 < self.loss_temperature < float("inf"):
            raise ConfigError(f"loss_temperature must be a number above 0, not {self.loss_temperature}")

    @property
    def needs(self) -> Needs:
        return Needs(logits=True, everywhere=self.everywhere)

    def of(self, output: Output) -> Term:
        counterparts: dict[Output, Term] = {
            "labels": BinaryKL(self.loss_temperature),
            "values": SquaredError(self.values_of),
            "masked_tokens": self,
        }
        return counterparts.get(output, replace(self, everywhere=False))

    @property
    def by_row(self) -> bool:
        return False

    def mask(self, batch: Batch) -> Tensor:
        return read_positions(batch) if self.everywhere else super().mask(batch)

    @property
    def token_loss(self) -> TokenDivergence:
        return TokenDivergence("forward_kl", loss_temperature=self.loss_temperature)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        return forward_kl(
            teacher_logits=teacher["logits"],
            student_logits=student["logits"],
            loss_temperature=self.loss_temperature,
        )


@dataclass(frozen=True)
class LogitDistance(Term):
    """``mean_c (z_T - z_S)_c^2`` of each row or word (Ba and Caruana 2014, arXiv:1312.6184)."""

    suits = frozenset[Output](("classes", "tags", "labels", "values"))

    @property
    def needs(self) -> Needs:
        return Needs(logits=True)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        return mean_squared_distance(teacher=teacher["logits"], student=student["logits"])


@dataclass(frozen=True)
class TeacherCrossEntropy(Term):
    """``-sum_c p_c log q_c`` per row, in nats (Saxena, Janzen, Maass, "Streamlining LLMs", equation 1).

    Its gradient over the student's logits is ``q - p``, as for the KL divergence. Its minimum is the teacher's
    entropy, not 0, so the KL is logged as well.
    """

    suits = frozenset[Output](("classes", "tags"))
    hard: bool = False
    """Put all probability on the teacher's most likely class, which gives ordinary cross-entropy."""
    unsure_weight: float = 1.0
    """Factor on the value of a row whose teacher entropy is above 0.9 of the maximum. The row still counts as one: the
    mean is over all rows, so the gradient equals that of the weighted sum over the whole data set, whatever rows a
    step has."""

    def __post_init__(self) -> None:
        if not 0 <= self.unsure_weight <= 1:
            raise ConfigError(f"unsure_weight must be between 0 and 1, not {self.unsure_weight}")

    @property
    def needs(self) -> Needs:
        return Needs(logits=True)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        teacher_logits, student_logits = teacher["logits"], student["logits"]
        if self.hard:
            likeliest = teacher_logits.argmax(dim=-1)
            values = torch.nn.functional.cross_entropy(
                student_logits.float().flatten(0, -2), likeliest.flatten(), reduction="none"
            ).view_as(likeliest)
        else:
            values = soft_cross_entropy(teacher_logits=teacher_logits, student_logits=student_logits)
        if self.unsure_weight == 1:
            return values
        return torch.where(_entropy(teacher_logits) > _UNSURE, self.unsure_weight, 1.0) * values

    def metrics(self, student: Signal, teacher: Signal) -> dict[str, Tensor]:
        """Return the KL divergence of each row from the teacher's whole distribution, for the log."""
        return {"kl_to_teacher": forward_kl(teacher_logits=teacher["logits"], student_logits=student["logits"])}


def _entropy(logits: Tensor) -> Tensor:
    """Return ``H(p) / ln C`` of each row: 0 when sure, 1 when all classes are equally likely."""
    entropy = soft_cross_entropy(teacher_logits=logits, student_logits=logits)
    return entropy / math.log(logits.shape[-1])
