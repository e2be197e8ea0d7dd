"""Gold labels as a term."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.losses.targets import BinaryCrossEntropy, SquaredError
from limbeck.losses.term import Output, Term
from limbeck.types import UNLABELLED, Batch, Needs, Signal

__all__ = ["LabelCrossEntropy", "labels"]


def labels(batch: Batch) -> Tensor:
    """Return the gold labels of rows ``[B]``, or of words ``[B, T]`` where words are tagged."""
    return batch["labels_BT"] if "words_BT" in batch else batch["labels_B"]


@dataclass(frozen=True)
class LabelCrossEntropy(Term):
    """Cross-entropy with the gold label, ``-log q(y)`` in nats, where there is one; always at temperature 1.

    Of labels that may go together it is `BinaryCrossEntropy`, of real values `SquaredError`: up to a constant the
    cross-entropy of a normal distribution of variance 1/2.
    """

    suits = frozenset[Output](("classes", "tags", "labels", "values"))

    @property
    def needs(self) -> Needs:
        return Needs(labels=True)

    def of(self, output: Output) -> Term:
        counterparts: dict[Output, Term] = {"labels": BinaryCrossEntropy(), "values": SquaredError()}
        return counterparts.get(output, self)

    def mask(self, batch: Batch) -> Tensor:
        return labels(batch) != UNLABELLED

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        gold = labels(batch)
        logits_NC = student["logits"].float().flatten(0, -2)
        values_N = torch.nn.functional.cross_entropy(
            logits_NC, gold.flatten(), ignore_index=UNLABELLED, reduction="none"
        )
        return values_N.view_as(gold)
