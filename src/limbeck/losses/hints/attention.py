"""Terms on attention."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.hints.hidden import Hint, read_positions
from limbeck.numerics.distances import attention_squared_distance
from limbeck.numerics.layer_maps import choose_layers
from limbeck.types import Batch, Shapes, Signal, Site

__all__ = ["AttentionMSE"]


@dataclass(frozen=True)
class AttentionMSE(Hint):
    """Squared differences of scores before softmax at each token that looks, summed over mapped layers.

    The mean is over heads and the tokens that may be looked at: of a decoder those before, and never padding.

    Reference: Jiao et al. 2020, "TinyBERT", arXiv:1909.10351, equation 7. The released code puts 0 for scores of
    padding and takes the mean over all ``T * T`` pairs of a padded batch, so there more padding makes it smaller.
    """

    site: ClassVar[Site] = "attention"
    layers: str = "uniform"
    """Which teacher layer each student layer is compared with: a name of `limbeck.numerics.layer_maps`."""

    @property
    def by_row(self) -> bool:
        return False

    def bind(self, shapes: Shapes) -> AttentionMSE:
        if shapes.teacher_heads != shapes.student_heads:
            raise ConfigError(
                f"attention is compared head by head, but the teacher has {shapes.teacher_heads} in each layer and "
                f"the student {shapes.student_heads}. Use a student made from the teacher's layers, or another recipe"
            )
        chosen = choose_layers(self.layers, teacher_layers=shapes.teacher_layers, keep=shapes.student_layers)
        return replace(self, pairs=tuple(enumerate(chosen, start=1)))

    def mask(self, batch: Batch) -> Tensor:
        return read_positions(batch)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        distances = [
            attention_squared_distance(teacher=other, student=own) for own, other in self.states(student, teacher)
        ]
        return torch.stack(distances).sum(dim=0)
