"""Gold labels as a term: labels of rows, words, candidates or the tokens of a text."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.losses.targets import BinaryCrossEntropy, SquaredError
from limbeck.losses.term import Output, Term
from limbeck.numerics.token_losses import LabelLoss
from limbeck.types import UNLABELLED, Batch, Needs, Signal

__all__ = ["LabelCrossEntropy", "labels"]


def labels(batch: Batch) -> Tensor:
    """Return the gold labels of what a student predicts: rows ``[B]``, words or tokens ``[B, T]``."""
    return batch["labels_BT"] if "labels_BT" in batch else batch["labels_B"]


@dataclass(frozen=True)
class LabelCrossEntropy(Term):
    """Cross-entropy with the gold label, ``-log q(y)`` in nats, if there is one; always at temperature 1.

    For candidates, several of which may be right, ``-sum_k gold_k log q_k``: with one gold answer, minus the log of
    its probability; with several, the mean over them. For multi-label classification it is `BinaryCrossEntropy`, for
    real values `SquaredError`: up to a constant, the cross-entropy of a normal distribution of variance 1/2.
    """

    @property
    def needs(self) -> Needs:
        return Needs(labels=True)

    def of(self, output: Output) -> Term:
        counterparts: dict[Output, Term] = {"labels": BinaryCrossEntropy(), "values": SquaredError()}
        return counterparts.get(output, self)

    @property
    def by_row(self) -> bool:
        return False

    @property
    def token_loss(self) -> LabelLoss:
        return LabelLoss()

    def mask(self, batch: Batch) -> Tensor:
        return (batch["gold_BK"] > 0).any(dim=-1) if "gold_BK" in batch else labels(batch) != UNLABELLED

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        if "gold_BK" in batch:
            return _cross_entropy(student["logits"], batch["gold_BK"])
        gold = labels(batch)
        logits = student["logits"]
        logits_NC = logits.to(torch.promote_types(logits.dtype, torch.float32)).flatten(0, -2)
        values_N = torch.nn.functional.cross_entropy(
            logits_NC, gold.flatten(), ignore_index=UNLABELLED, reduction="none"
        )
        return values_N.view_as(gold)


def _cross_entropy(logits_BK: Tensor, gold_BK: Tensor) -> Tensor:
    """Return the cross-entropy with a distribution over candidates; ``-inf`` logits mark missing ones."""
    log_probs_BK = torch.log_softmax(logits_BK.to(torch.promote_types(logits_BK.dtype, torch.float32)), dim=-1)
    # Masked before the product: 0 * (-inf) is NaN, in the value and in the gradient.
    return -(gold_BK * log_probs_BK.masked_fill(gold_BK == 0, 0.0)).sum(dim=-1)
