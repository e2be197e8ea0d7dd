"""A term on the topmost states of both models, paired from the top."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from limbeck.errors import ConfigError
from limbeck.losses.hints.hidden import Hint, identity_map
from limbeck.losses.term import ALL_OUTPUTS, Output
from limbeck.numerics.distances import mean_squared_distance
from limbeck.numerics.masking import read_positions
from limbeck.types import Batch, Needs, Shapes, Signal, Tap

__all__ = ["TopStates"]


@dataclass(frozen=True)
class TopStates(Hint):
    """``sum_m |W_m h_S,m - h_T,m+K-M|^2 / d_T`` at each token, or of [CLS] alone: layers pair up from the top.

    The student's last layer M is compared with teacher layer K; with `all_layers` so is each layer below it with the
    next one below, down to the embeddings, whose output meets teacher layer K - M. That of [CLS] is left out: it is
    the same in every row. Each pair has a linear map W with a bias, if the models differ in width. It starts as the
    identity, cut to the widths, is trained with the student and dropped on export.

    Reference: Mukherjee and Awadallah 2020, "XtremeDistil", arXiv:2004.05686; pairs and maps are those of the released
    code of its second version (microsoft/xtreme-distil-transformers).
    """

    suits = ALL_OUTPUTS - {"candidates"}
    all_layers: bool = False
    """Whether more than the last layer of the student is compared."""
    teacher_layer: int | None = None
    """K, counted from 1; ``None``: the teacher's last."""
    every_token: bool = False
    """Whether states of all tokens are compared, and not only of [CLS]."""
    maps: nn.ModuleList | None = field(default=None, kw_only=True, compare=False)
    """W of each pair, created by `bind`."""

    @property
    def needs(self) -> Needs:
        return replace(super().needs, same_tokens=self.every_token)

    def of(self, output: Output) -> TopStates:
        return replace(self, every_token=self.every_token or output in ("tags", "tokens", "masked_tokens"))

    @property
    def by_row(self) -> bool:
        return not self.every_token

    @property
    def same_width(self) -> bool:
        return False

    def bind(self, shapes: Shapes) -> TopStates:
        last, top = shapes.student_layers, self.teacher_layer or shapes.teacher_layers
        if top > shapes.teacher_layers:
            raise ConfigError(
                f"the student's last layer is to be compared with teacher layer {top} (recipe.teacher_layer), and the "
                f"teacher has {shapes.teacher_layers}"
            )
        if self.all_layers and last > top:
            raise ConfigError(
                f"layers are compared in pairs from teacher layer {top} and the student's last one down, and the "
                f"student has {last}: it has to have at most {top}. Compare the last layer alone, or use another "
                "student"
            )
        first = last if not self.all_layers else 0 if self.every_token else 1
        pairs = tuple((layer, top - last + layer) for layer in range(first, last + 1))
        widths = shapes.student_width, shapes.teacher_width
        maps = nn.ModuleList(identity_map(*widths, bias=True) for _ in pairs) if widths[0] != widths[1] else None
        return replace(self, pairs=pairs, maps=maps)

    def module(self) -> nn.Module | None:
        return self.maps

    def mask(self, batch: Batch) -> Tensor:
        return read_positions(batch) if self.every_token else super().mask(batch)

    def tap(self, layer: int) -> Tap:
        return super().tap(layer) if self.every_token else Tap("first", layer)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        distances = [
            mean_squared_distance(teacher=other, student=own if self.maps is None else self.maps[number](own))
            for number, (own, other) in enumerate(self.states(student, teacher))
        ]
        return torch.stack(distances).sum(dim=0)
