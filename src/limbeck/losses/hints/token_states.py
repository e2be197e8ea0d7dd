"""Hints of intermediate layers at every token that a language model reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from limbeck.losses.hints.hidden import mapped_needs, require_equal_width
from limbeck.numerics.distances import mean_squared_distance
from limbeck.numerics.layer_maps import choose_layers
from limbeck.types import Batch, Needs, Shapes, Tap

__all__ = ["TokenHints"]


@dataclass(frozen=True)
class TokenHints:
    """Sum over mapped layers of the mean over the width of squared differences, averaged over a step's tokens.

    All tokens that are read count, those of prompts too. States are the layers' own outputs, before the model's
    last norm.

    Reference: the pre-distillation of Wen et al. 2023, "f-Divergence Minimization for Sequence-Level Knowledge
    Distillation", arXiv:2307.15190, section 3.5, after the released code that it builds on (Shleifer, Rush 2020,
    "Pre-trained Summarization Distillation", arXiv:2010.13002, section 2.2).
    """

    layers: str = "uniform"
    """Which teacher layer each student layer is compared with: a name of `limbeck.numerics.layer_maps`."""
    pairs: tuple[tuple[int, int], ...] = ()
    """(student layer, teacher layer), set by `bind`."""

    @property
    def needs(self) -> Needs:
        """The mapped layers' states, of models that read the same tokens."""
        return mapped_needs("hidden", self.pairs)

    @property
    def by_row(self) -> bool:
        """That it does not matter which row a token is in."""
        return False

    def bind(self, shapes: Shapes) -> TokenHints:
        """Return this term with its layer map resolved. Raises `ConfigError` where widths or depths do not fit."""
        require_equal_width("a hint of hidden states", shapes)
        chosen = choose_layers(self.layers, teacher_layers=shapes.teacher_layers, keep=shapes.student_layers)
        return replace(self, pairs=tuple(enumerate(chosen, start=1)))

    def counted(self, batch: Batch) -> Tensor:
        """Return where tokens are read, bool ``[B, T]``."""
        return batch["read_BT"] if "read_BT" in batch else batch["student"]["attention_mask"].bool()

    def token_weights(self, batch: Batch) -> Tensor:
        """Return 1 where tokens are read and 0 elsewhere, float32 ``[B, T]``."""
        return self.counted(batch).float()

    def token_values(self, student: Mapping[Tap, Tensor], teacher: Mapping[Tap, Tensor]) -> Tensor:
        """Return the distance at each position, ``[B, T]``, of states ``[B, T, D]`` by tap; none by the teacher."""
        assert self.pairs, "bind first"
        distances = [
            mean_squared_distance(teacher=teacher[Tap("hidden", teacher_layer)], student=student[Tap("hidden", layer)])
            for layer, teacher_layer in self.pairs
        ]
        return torch.stack(distances).sum(dim=0)
