"""Task-aware filters of layers: what each layer says about the task, compared between the models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from limbeck.losses.hints.hidden import Hint, identity_map, mapped_layers
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.term import Output, Term
from limbeck.numerics.distances import mean_squared_distance
from limbeck.numerics.masking import mean_of_tokens, read_positions
from limbeck.types import Batch, Needs, Shapes, Signal

__all__ = ["FilteredStates", "LayerFilters"]

Side = Literal["student", "teacher"]


@dataclass(frozen=True)
class _Filtered(Hint):
    """A term on the layers' states behind a linear map of each, its filter."""

    suits = frozenset[Output](("classes", "labels", "values", "tags"))
    layers: str = "uniform"
    """The teacher layer that each student layer is compared with: a name in `limbeck.numerics.layer_maps`."""
    width: int | None = None
    """Width of filtered states; ``None``: the teacher's."""

    @property
    def layer_map(self) -> str:
        return self.layers

    @property
    def same_width(self) -> bool:
        return False

    def _new_filters(self, side: Side, shapes: Shapes) -> nn.ModuleList:
        """Return a filter for each compared layer of a model: the identity, cut to the widths, with a bias of 0."""
        inputs = shapes.student_width if side == "student" else shapes.teacher_width
        width = self.width or shapes.teacher_width
        return nn.ModuleList(identity_map(inputs, width, bias=True) for _ in range(shapes.student_layers))

    def _pairs(self, shapes: Shapes) -> tuple[tuple[int, int], ...]:
        return tuple(enumerate(mapped_layers(self.layers, shapes), start=1))


def filters_of(side: Side) -> str:
    """Return the name under which one stage hands the filters of a model to the next."""
    return f"{side}_filters"


@dataclass(frozen=True)
class LayerFilters(_Filtered):
    """The task's loss on the filtered states of each compared layer of one model, averaged over layers.

    Each layer has a filter and a linear head of its own, which are all that is trained: for words the head reads their
    filtered states, otherwise the mean over the row's tokens. Heads start at 0.

    Reference: Liang et al. 2023, "Less is More: Task-aware Layer-wise Distillation", arXiv:2210.01351, equation 5.
    """

    side: Side = "student"
    task: Term = field(default_factory=LabelCrossEntropy)
    """On logits, with gold answers."""
    filters: nn.ModuleList | None = field(default=None, kw_only=True, compare=False)
    """Created by `bind`, like the heads."""
    heads: nn.ModuleList | None = field(default=None, kw_only=True, compare=False)

    @property
    def needs(self) -> Needs:
        states, labels = super().needs, self.task.needs
        if self.side == "student":
            return replace(labels, student_taps=states.student_taps, similarity=states.similarity)
        return replace(labels, teacher_taps=states.teacher_taps, similarity=states.similarity)

    def of(self, output: Output) -> LayerFilters:
        return replace(self, task=self.task.of(output))

    def bind(self, shapes: Shapes) -> LayerFilters:
        filters = self._new_filters(self.side, shapes)
        heads = nn.ModuleList(_silent_head(self.width or shapes.teacher_width, shapes.outputs) for _ in filters)
        return replace(self, pairs=self._pairs(shapes), filters=filters, heads=heads)

    def module(self) -> nn.Module | None:
        return None if self.filters is None or self.heads is None else nn.ModuleList([self.filters, self.heads])

    @property
    def kept_modules(self) -> Mapping[str, nn.Module]:
        return {} if self.filters is None else {filters_of(self.side): self.filters}

    def mask(self, batch: Batch) -> Tensor:
        return self.task.mask(batch)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        assert self.filters is not None, "bind first"
        assert self.heads is not None
        of_student = self.side == "student"
        states = (student if of_student else teacher)["states"]
        read_BT = read_positions(batch)
        if not of_student and "teacher" in batch:
            read_BT = batch["teacher"]["attention_mask"].bool()
        values = []
        for pair, through, head in zip(self.pairs, self.filters, self.heads, strict=True):
            filtered = through(states[self.tap(pair[0] if of_student else pair[1])])
            logits = head(filtered if "words_BT" in batch else mean_of_tokens(filtered, read_BT))
            values.append(self.task.values({"logits": logits}, {}, batch))
        return torch.stack(values).mean(dim=0)


@dataclass(frozen=True)
class FilteredStates(_Filtered):
    """``|g_S(h_S) - g_T(h_T)|^2 / d`` at each token, averaged over compared layers; averaged over a step's tokens.

    Filters g go on from those of `LayerFilters` in an earlier stage: the teacher's stay as they are, the student's are
    trained with the student and dropped on export.

    Reference: Liang et al. 2023, arXiv:2210.01351, equation 6. The released code averages over padding too.
    """

    student_filters: nn.ModuleList | None = field(default=None, kw_only=True, compare=False)
    """Created by `bind`, like the teacher's."""
    teacher_filters: nn.ModuleList | None = field(default=None, kw_only=True, compare=False)

    def bind(self, shapes: Shapes) -> FilteredStates:
        return replace(
            self,
            pairs=self._pairs(shapes),
            student_filters=self._new_filters("student", shapes),
            teacher_filters=self._new_filters("teacher", shapes).requires_grad_(False),
        )

    def module(self) -> nn.Module | None:
        return nn.ModuleList(self.kept_modules.values()) if self.student_filters is not None else None

    @property
    def kept_modules(self) -> Mapping[str, nn.Module]:
        found = {filters_of("student"): self.student_filters, filters_of("teacher"): self.teacher_filters}
        return {name: filters for name, filters in found.items() if filters is not None}

    @property
    def continues(self) -> bool:
        return True

    def mask(self, batch: Batch) -> Tensor:
        return read_positions(batch)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        assert self.student_filters is not None, "bind first"
        assert self.teacher_filters is not None
        states = zip(self.states(student, teacher), self.student_filters, self.teacher_filters, strict=True)
        distances = [
            mean_squared_distance(teacher=of_teacher(other), student=of_student(own))
            for (own, other), of_student, of_teacher in states
        ]
        return torch.stack(distances).mean(dim=0)


def _silent_head(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear head whose outputs are all 0; draws no random numbers."""
    head = identity_map(inputs, outputs, bias=True)
    nn.init.zeros_(head.weight)
    return head
