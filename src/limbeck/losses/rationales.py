"""The term on a teacher's rationales."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from limbeck.losses.term import Output, Term
from limbeck.types import Batch, Needs, Signal

__all__ = ["RationaleCrossEntropy"]


@dataclass(frozen=True)
class RationaleCrossEntropy(Term):
    """``-(1/T) sum_t log q(r_t | x, r_<t)`` of each row's rationale r with its end marker, in nats.

    A row counts once, however long its rationale is.

    Reference: Hsieh et al. 2023, "Distilling Step-by-Step!", arXiv:2305.02301, equation 4.
    """

    suits = frozenset[Output](("classes",))

    @property
    def needs(self) -> Needs:
        return Needs(rationales=True)

    def mask(self, batch: Batch) -> Tensor:
        return batch["rationales"]["explained_B"]

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        return -student["rationale_log_probs_B"]
