"""Gold labels as a term."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.types import UNLABELLED, Batch, Needs, Shapes, Signal

__all__ = ["LabelCrossEntropy"]


@dataclass(frozen=True)
class LabelCrossEntropy:
    """Cross-entropy with the gold label, ``-log q(y)`` in nats, on labelled rows; always at temperature 1."""

    @property
    def needs(self) -> Needs:
        return Needs(labels=True)

    def bind(self, shapes: Shapes) -> LabelCrossEntropy:
        return self

    def counted(self, batch: Batch) -> Tensor:
        return batch["labels_B"] != UNLABELLED

    def values(self, student: Signal, batch: Batch) -> Tensor:
        return torch.nn.functional.cross_entropy(
            student["logits"].float(), batch["labels_B"], ignore_index=UNLABELLED, reduction="none"
        )
