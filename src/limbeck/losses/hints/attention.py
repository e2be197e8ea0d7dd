"""Terms on attention."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.hints.hidden import Hint, mapped_layers
from limbeck.numerics.distances import attention_squared_distance
from limbeck.numerics.masking import read_positions
from limbeck.types import Batch, Shapes, Signal, Site

__all__ = ["AttentionMSE"]


@dataclass(frozen=True)
class AttentionMSE(Hint):
    """Squared differences of pre-softmax scores at each query token, summed over mapped layers.

    The mean is over heads and the visible keys: in a decoder only earlier tokens, and never padding.

    Reference: Jiao et al. 2020, "TinyBERT", arXiv:1909.10351, equation 7. The released code sets scores of padding to
    0 and averages over all ``T * T`` pairs of a padded batch, so more padding makes its value smaller.
    """

    site: ClassVar[Site] = "attention"
    layers: str = "uniform"
    """The teacher layer that each student layer is compared with: a name in `limbeck.numerics.layer_maps`."""

    @property
    def by_row(self) -> bool:
        return False

    @property
    def layer_map(self) -> str:
        return self.layers

    @property
    def same_width(self) -> bool:
        return False

    def bind(self, shapes: Shapes) -> AttentionMSE:
        if shapes.teacher_heads != shapes.student_heads:
            raise ConfigError(
                f"attention is compared head by head, but the teacher has {shapes.teacher_heads} in each layer and "
                f"the student {shapes.student_heads}. Use a student built from the teacher's layers, or another recipe"
            )
        return replace(self, pairs=tuple(enumerate(mapped_layers(self.layers, shapes), start=1)))

    def mask(self, batch: Batch) -> Tensor:
        return read_positions(batch)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        distances = [
            attention_squared_distance(teacher=other, student=own) for own, other in self.states(student, teacher)
        ]
        return torch.stack(distances).sum(dim=0)
