"""Terms on the states between layers, for encoders and decoders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from limbeck.errors import ConfigError
from limbeck.losses.term import ALL_OUTPUTS, Output, Term
from limbeck.numerics.distances import (
    cosine_distance,
    layer_normalised,
    mean_squared_distance,
    normalised_squared_distance,
)
from limbeck.numerics.layer_maps import BY_SIMILARITY, compared_layers, hint_pairs
from limbeck.numerics.masking import read_positions
from limbeck.types import Batch, Needs, Shapes, Signal, Site, Tap

__all__ = [
    "HiddenStates",
    "Hint",
    "LastHiddenCosine",
    "PatientHints",
    "mapped_layers",
    "require_equal_width",
]


def require_equal_width(term: str, shapes: Shapes) -> None:
    """Refuse models whose states cannot be compared directly. Raises `ConfigError`; `term` is the term's name."""
    if shapes.teacher_width != shapes.student_width:
        raise ConfigError(
            f"{term} compares hidden states directly, so teacher and student must have the same width; "
            f"the teacher has {shapes.teacher_width}, the student {shapes.student_width}. "
            "Use a student built from the teacher's layers, or a recipe on logits (kd)."
        )


def mapped_layers(layers: str, shapes: Shapes) -> tuple[int, ...]:
    """Return the teacher layer that each student layer is compared with, by the name of a layer map."""
    return compared_layers(
        layers,
        teacher_layers=shapes.teacher_layers,
        student_layers=shapes.student_layers,
        similarity=shapes.similarity,
    )


@dataclass(frozen=True)
class Hint(Term):
    """A term that compares one site in mapped layers."""

    suits = ALL_OUTPUTS - {"candidates"}
    site: ClassVar[Site] = "hidden"
    pairs: tuple[tuple[int, int], ...] = field(default=(), kw_only=True)
    """(student layer, teacher layer), set by `bind`."""

    @property
    def needs(self) -> Needs:
        """The mapped layers' states, from models that read the same tokens unless each row has one state."""
        return Needs(
            student_taps=frozenset(self.tap(student) for student, _ in self.pairs),
            # Before the layer map is resolved, only that there are some layers is known.
            teacher_taps=frozenset(self.tap(teacher) for _, teacher in self.pairs or [(1, 1)]),
            same_tokens=self.site != "first",
            same_width=self.same_width,
            same_heads=self.site == "attention",
            similarity=self.layer_map == BY_SIMILARITY,
        )

    @property
    def layer_map(self) -> str:
        """The name of its layer map, if it has one."""
        return ""

    @property
    def compared_layers(self) -> tuple[tuple[int, int], ...]:
        return tuple(pair for pair in self.pairs if all(pair))

    @property
    def same_width(self) -> bool:
        """Whether states are compared as they are, so that both models need the same width."""
        return True

    def mask(self, batch: Batch) -> Tensor:
        """Return every row."""
        return torch.ones_like(read_positions(batch)[:, 0])

    def tap(self, layer: int) -> Tap:
        """Return where the states of a layer are; layer 0 is the embeddings."""
        return Tap(self.site, layer) if layer else Tap("embedding")

    def states(self, student: Signal, teacher: Signal) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the (student, teacher) states at the site, for each pair of layers."""
        assert self.pairs, "bind first"
        for layer, of_teacher in self.pairs:
            yield student["states"][self.tap(layer)], teacher["states"][self.tap(of_teacher)]


@dataclass(frozen=True)
class LastHiddenCosine(Hint):
    """``1 - cos`` of the last layers' states at each token (padding left out).

    Reference: Sanh et al. 2019, "DistilBERT", arXiv:1910.01108, section 2; released code of the transformers research
    project "distillation", which averages over all tokens of a batch. So does this term in masked language modelling;
    elsewhere each row counts once, whatever its length.
    """

    by_token: bool = False
    """Whether each token counts once and not each row."""

    def of(self, output: Output) -> LastHiddenCosine:
        return replace(self, by_token=output == "masked_tokens")

    @property
    def by_row(self) -> bool:
        return not self.by_token

    def mask(self, batch: Batch) -> Tensor:
        return read_positions(batch) if self.by_token else super().mask(batch)

    def bind(self, shapes: Shapes) -> LastHiddenCosine:
        require_equal_width("the cosine term", shapes)
        return replace(self, pairs=((shapes.student_layers, shapes.teacher_layers),))

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        ((own, other),) = self.states(student, teacher)
        distance_BT = cosine_distance(teacher=other, student=own)
        if self.by_token:
            return distance_BT
        tokens_BT = read_positions(batch).to(distance_BT.dtype)
        return (distance_BT * tokens_BT).sum(dim=1) / tokens_BT.sum(dim=1).clamp(min=1)


@dataclass(frozen=True)
class PatientHints(Hint):
    """Mean over mapped layers of the squared distance of L2-normalised [CLS] states.

    Reference: Sun et al. 2019, "Patient Knowledge Distillation for BERT Model Compression",
    arXiv:1908.09355, equation 7, with the released code's mean over layers and components: the
    published weights beta only make sense with it.
    """

    suits = ALL_OUTPUTS - {"candidates", "tokens", "masked_tokens"}
    site: ClassVar[Site] = "first"
    strategy: str = "skip"
    reaches_teacher: bool = False

    @property
    def layer_map(self) -> str:
        return self.strategy

    def bind(self, shapes: Shapes) -> PatientHints:
        require_equal_width("PKD", shapes)
        depths = {"teacher_layers": shapes.teacher_layers, "student_layers": shapes.student_layers}
        return replace(self, pairs=hint_pairs(self.strategy, **depths, similarity=shapes.similarity))

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        distances = [
            normalised_squared_distance(teacher=other, student=own, reaches_teacher=self.reaches_teacher)
            for own, other in self.states(student, teacher)
        ]
        return torch.stack(distances).mean(dim=0)


@dataclass(frozen=True)
class HiddenStates(Hint):
    """``|W norm(h_S) - norm(h_T)|^2 / d_T`` at each token, over mapped layers; averaged over a step's tokens.

    All non-padding tokens count, including those of prompts. States are the layers' own outputs, before a decoder's
    last norm; layer 0, if it is compared, is the input of the first layer. ``norm`` is a layer norm without gain and
    bias, or nothing. W is a linear map, trained with the student and dropped on export. It starts as the identity, cut
    to the widths, so a copy of the teacher starts at 0. Without W, teacher and student must have the same width.

    There is one W for all layers and the embeddings, as in TinyBERT's released code; `own_embedding_map` gives the
    embeddings another, as in its paper.

    Reference: Romero et al. 2015, "FitNets: Hints for Thin Deep Nets", arXiv:1412.6550. The sum over layers without
    norm and map follows Shleifer, Rush 2020, "Pre-trained Summarization Distillation", arXiv:2010.13002, section
    2.2; map and embeddings follow Jiao et al. 2020, "TinyBERT", arXiv:1909.10351, equations 8 and 9.
    """

    layers: str = "uniform"
    """The teacher layer that each student layer is compared with: a name in `limbeck.numerics.layer_maps`."""
    over_layers: Literal["mean", "sum"] = "mean"
    """Over all that is compared, embeddings included."""
    layer_norm: bool = False
    projected: bool = False
    """Whether there is a map W."""
    bias: bool = False
    """Whether maps have a bias, which starts at 0."""
    embeddings: bool = False
    """Whether the embeddings of both models are compared as layer 0."""
    own_embedding_map: bool = False
    """Whether a map of their own is trained for them."""
    projection: nn.Linear | None = field(default=None, kw_only=True, compare=False)
    """W, created by `bind`."""
    embedding_projection: nn.Linear | None = field(default=None, kw_only=True, compare=False)
    """The embeddings' own map, created by `bind`."""

    @property
    def by_row(self) -> bool:
        return False

    @property
    def layer_map(self) -> str:
        return self.layers

    @property
    def same_width(self) -> bool:
        return not self.projected

    def bind(self, shapes: Shapes) -> HiddenStates:
        if not self.projected:
            require_equal_width("a hint of hidden states", shapes)
        chosen = mapped_layers(self.layers, shapes)
        made, own = (
            identity_map(shapes.student_width, shapes.teacher_width, bias=self.bias) if wanted else None
            for wanted in (self.projected, self.projected and self.embeddings and self.own_embedding_map)
        )
        pairs = (*([(0, 0)] if self.embeddings else []), *enumerate(chosen, start=1))
        return replace(self, pairs=pairs, projection=made, embedding_projection=own)

    def module(self) -> nn.Module | None:
        if self.projection is None or self.embedding_projection is None:
            return self.projection
        return nn.ModuleList([self.projection, self.embedding_projection])

    def mask(self, batch: Batch) -> Tensor:
        return read_positions(batch)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        distances = torch.stack(
            [
                mean_squared_distance(teacher=self._normed(other), student=self._mapped(self._normed(own), layer))
                for (layer, _), (own, other) in zip(self.pairs, self.states(student, teacher), strict=True)
            ]
        )
        return distances.mean(dim=0) if self.over_layers == "mean" else distances.sum(dim=0)

    def _normed(self, state: Tensor) -> Tensor:
        return layer_normalised(state) if self.layer_norm else state

    def _mapped(self, state: Tensor, layer: int) -> Tensor:
        own = self.embedding_projection if layer == 0 else None
        through = self.projection if own is None else own
        return state if through is None else through(state)


def identity_map(inputs: int, outputs: int, *, bias: bool = False) -> nn.Linear:
    """Return a linear map that starts as the identity, cut to its widths; draws no random numbers."""
    made = nn.Linear(inputs, outputs, bias=bias, device="meta").to_empty(device="cpu")
    nn.init.eye_(made.weight)
    if made.bias is not None:
        nn.init.zeros_(made.bias)
    return made
