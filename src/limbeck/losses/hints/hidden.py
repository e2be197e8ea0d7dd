"""Terms on hidden states: DistilBERT's cosine, PKD's patient hints, states through a trained map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from limbeck.errors import ConfigError
from limbeck.numerics.distances import (
    cosine_distance,
    layer_normalised,
    mean_squared_distance,
    normalised_squared_distance,
)
from limbeck.numerics.layer_maps import choose_layers, hint_pairs
from limbeck.types import Batch, Needs, Shapes, Signal, Site, Tap

__all__ = ["LastHiddenCosine", "MappedStates", "PatientHints", "mapped_needs", "require_equal_width"]


def require_equal_width(term: str, shapes: Shapes) -> None:
    """Refuse models whose states cannot be compared directly. Raises `ConfigError`; `term` names what compares."""
    if shapes.teacher_width != shapes.student_width:
        raise ConfigError(
            f"{term} compares hidden states directly, so teacher and student must have the same width; "
            f"the teacher has {shapes.teacher_width}, the student {shapes.student_width}. "
            "Use a student made from the teacher's layers, or a recipe on logits (word_level_kd; of texts kd)."
        )


def mapped_needs(site: Site, pairs: Sequence[tuple[int, int]]) -> Needs:
    """Return the taps of (student layer, teacher layer) pairs; before a layer map is resolved, that there are some."""
    return Needs(
        student_taps=frozenset(Tap(site, student) for student, _ in pairs),
        teacher_taps=frozenset(Tap(site, teacher) for _, teacher in pairs or [(0, 0)]),
        same_tokens=site != "first",
    )


@dataclass(frozen=True)
class LastHiddenCosine:
    """``1 - cos`` of the last layers' states, averaged over the row's tokens (padding left out).

    Reference: Sanh et al. 2019, "DistilBERT", arXiv:1910.01108, section 2; released code of the
    transformers research project "distillation". A row counts once whatever its length; the
    released code averages over all tokens of a batch, so long rows weigh more there.
    """

    layers: tuple[int, int] | None = None
    """(student layer, teacher layer), set by `bind`."""

    @property
    def needs(self) -> Needs:
        student, teacher = self.layers or (0, 0)
        return Needs(frozenset({Tap("hidden", student)}), frozenset({Tap("hidden", teacher)}), same_tokens=True)

    def bind(self, shapes: Shapes) -> LastHiddenCosine:
        require_equal_width("the cosine term", shapes)
        return replace(self, layers=(shapes.student_layers, shapes.teacher_layers))

    def counted(self, batch: Batch) -> Tensor:
        return torch.ones_like(batch["rows_B"], dtype=torch.bool)

    def values(self, student: Signal, batch: Batch) -> Tensor:
        assert self.layers is not None, "bind first"
        student_layer, teacher_layer = self.layers
        distance_BT = cosine_distance(
            teacher=batch["signal"]["states"][Tap("hidden", teacher_layer)],
            student=student["states"][Tap("hidden", student_layer)],
        )
        tokens_BT = batch["student"]["attention_mask"].to(distance_BT.dtype)
        return (distance_BT * tokens_BT).sum(dim=1) / tokens_BT.sum(dim=1).clamp(min=1)


@dataclass(frozen=True)
class PatientHints:
    """Mean over mapped layers of the squared distance of L2-normalised [CLS] states.

    Reference: Sun et al. 2019, "Patient Knowledge Distillation for BERT Model Compression",
    arXiv:1908.09355, equation 7, with the released code's mean over layers and components: the
    published weights beta only make sense with it.
    """

    strategy: str = "skip"
    pairs: tuple[tuple[int, int], ...] = ()
    """(student layer, teacher layer), set by `bind`."""

    @property
    def needs(self) -> Needs:
        return mapped_needs("first", self.pairs)

    def bind(self, shapes: Shapes) -> PatientHints:
        require_equal_width("PKD", shapes)
        pairs = hint_pairs(self.strategy, teacher_layers=shapes.teacher_layers, student_layers=shapes.student_layers)
        return replace(self, pairs=pairs)

    def counted(self, batch: Batch) -> Tensor:
        return torch.ones_like(batch["rows_B"], dtype=torch.bool)

    def values(self, student: Signal, batch: Batch) -> Tensor:
        assert self.pairs, "bind first"
        distances = [
            normalised_squared_distance(
                teacher=batch["signal"]["states"][Tap("first", teacher)],
                student=student["states"][Tap("first", layer)],
            )
            for layer, teacher in self.pairs
        ]
        return torch.stack(distances).mean(dim=0)


@dataclass(frozen=True)
class MappedStates:
    """``|W norm(h_S) - norm(h_T)|^2 / d_T``, averaged over mapped layers and over a step's tokens.

    ``norm`` is a layer norm without gain and bias. W is one linear map for all layers, trained with the student and
    dropped on export; it starts as the identity, cut to the widths, so a copy of the teacher starts at 0.

    Reference: Saxena, Janzen, Maass 2025, "Streamlining LLMs", speaks of "internal representations" and gives no
    formula. The map of widths is that of Jiao et al. 2020, "TinyBERT", arXiv:1909.10351, equation 8.
    """

    pairs: tuple[tuple[int, int], ...] = ()
    """(student layer, teacher layer), set by `bind`."""
    widths: tuple[int, int] = (0, 0)
    """Of student and teacher, set by `bind`."""
    map: nn.Linear | None = None
    """W, set by `with_map`."""

    @property
    def needs(self) -> Needs:
        return mapped_needs("hidden", self.pairs)

    def bind(self, shapes: Shapes) -> MappedStates:
        chosen = choose_layers("nearest", teacher_layers=shapes.teacher_layers, keep=shapes.student_layers)
        widths = (shapes.student_width, shapes.teacher_width)
        return replace(self, pairs=tuple(enumerate(chosen, start=1)), widths=widths)

    def with_map(self) -> MappedStates:
        """Return this term with a new map, which whoever trains the student must train too."""
        made = nn.Linear(*self.widths, bias=False)
        nn.init.eye_(made.weight)
        return replace(self, map=made)

    def counted(self, batch: Batch) -> Tensor:
        """Return where tokens are read, bool ``[B, T]``."""
        return batch["student"]["attention_mask"].bool()

    def values(self, student: Signal, batch: Batch) -> Tensor:
        """Return the distance at each token, ``[B, T]``."""
        assert self.map is not None, "with_map first"
        distances = [
            mean_squared_distance(
                teacher=layer_normalised(batch["signal"]["states"][Tap("hidden", teacher)]),
                student=self.map(layer_normalised(student["states"][Tap("hidden", layer)])),
            )
            for layer, teacher in self.pairs
        ]
        return torch.stack(distances).mean(dim=0)
