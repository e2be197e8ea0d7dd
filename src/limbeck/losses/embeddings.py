"""Terms on one embedding for each row: the teacher's through a map that labels teach it, and the student's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.errors import ConfigError
from limbeck.losses.hints.hidden import Hint, identity_map
from limbeck.losses.term import Output
from limbeck.numerics.contrastive import has_partner, supervised_contrastive
from limbeck.numerics.retrieval import batch_relations_kl
from limbeck.types import UNLABELLED, Batch, Needs, Shapes, Signal, Site, Tap

__all__ = ["EMBEDDING_MAP", "BatchRelations", "EmbeddingMap"]

EMBEDDING_MAP = "embedding_map"
"""Name of the map in the folder of the stage that trained it."""


@dataclass(frozen=True)
class _Embedded(Hint):
    """A term on the last layers' states of each row's first token ([CLS])."""

    suits = frozenset[Output](("classes",))
    site: ClassVar[Site] = "first"
    similarity_temperature: float = 0.1
    projection: nn.Linear | None = field(default=None, kw_only=True, compare=False)
    """The map of the teacher's embeddings to the student's width, created by `bind`."""

    def __post_init__(self) -> None:
        if not 0 < self.similarity_temperature < float("inf"):
            raise ConfigError(f"similarity_temperature must be a number above 0, not {self.similarity_temperature}")

    @property
    def same_width(self) -> bool:
        return False

    @property
    def rows_together(self) -> None:
        return None

    def bind(self, shapes: Shapes) -> _Embedded:
        if shapes.causal:
            raise ConfigError(
                "this recipe compares the states of first tokens, and in a causal model these see no other. "
                "Use encoders, or another recipe"
            )
        made = identity_map(shapes.teacher_width, shapes.student_width, bias=True)
        return replace(self, pairs=((shapes.student_layers, shapes.teacher_layers),), projection=made)

    def module(self) -> nn.Module | None:
        return self.projection

    @property
    def kept_modules(self) -> Mapping[str, nn.Module]:
        return {} if self.projection is None else {EMBEDDING_MAP: self.projection}

    def _of_teacher(self, teacher: Signal) -> Tensor:
        assert self.projection is not None, "bind first"
        ((_, layer),) = self.pairs
        mapped: Tensor = self.projection(teacher["states"][Tap("first", layer)])
        return mapped


@dataclass(frozen=True)
class EmbeddingMap(_Embedded):
    """``-mean_p log(exp(z z_p / t) / sum_a exp(z z_a / t))``, z mapped embeddings of the teacher.

    They are divided by their length; a are the other rows of the step, p those of the row's class (Khosla et al.
    2020). Only the map is trained.
    """

    @property
    def needs(self) -> Needs:
        return Needs(labels=True, teacher_taps=super().needs.teacher_taps)

    def mask(self, batch: Batch) -> Tensor:
        """Return the labelled rows with another row of their class in the step."""
        labels_B = batch["labels_B"]
        return has_partner(labels_B) & (labels_B != UNLABELLED)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        return supervised_contrastive(
            features_BD=self._of_teacher(teacher),
            labels_B=batch["labels_B"],
            temperature=self.similarity_temperature,
        )


@dataclass(frozen=True)
class BatchRelations(_Embedded):
    """``KL(u_i || v_i)`` of each row: how near the step's rows are to it, to the teacher and to the student.

    See `batch_relations_kl`. The teacher's embeddings go through the map of an earlier stage, which stays as it is.
    """

    @property
    def needs(self) -> Needs:
        return replace(super().needs, same_tokens=False)

    def bind(self, shapes: Shapes) -> _Embedded:
        bound = super().bind(shapes)
        assert bound.projection is not None
        bound.projection.requires_grad_(False)
        return bound

    @property
    def continues(self) -> bool:
        return True

    def mask(self, batch: Batch) -> Tensor:
        return torch.ones_like(batch["rows_B"], dtype=torch.bool)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        ((layer, _),) = self.pairs
        return batch_relations_kl(
            teacher_BD=self._of_teacher(teacher),
            student_BD=student["states"][Tap("first", layer)],
            temperature=self.similarity_temperature,
        )
