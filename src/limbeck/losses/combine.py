"""A student and the weighted terms it is trained on, in one module.

The student and the terms' own parameters sit in one module whose `forward` computes the loss, so that
wrappers for many devices (DDP, FSDP) see one forward pass. Only the student is exported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Any, cast

import torch
from torch import Tensor, nn

from limbeck.errors import ConfigError
from limbeck.losses.hints.hidden import MappedStates
from limbeck.losses.reduction import count_rows, masked_sum
from limbeck.losses.teacher_share import TeacherShare
from limbeck.models.shared_weights import save_shared_once
from limbeck.models.taps import run_model
from limbeck.types import Batch, Needs, RowTerm, Shapes, Signal, Term

__all__ = ["Objective", "WeightedTerm", "bind_terms", "needs_of"]


@dataclass(frozen=True)
class WeightedTerm:
    """A term, its name in logs, and its weight in the sum."""

    name: str
    term: Term
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise ConfigError(f"the weight of '{self.name}' must be a number of at least 0, not {self.weight}")


def bind_terms(terms: tuple[WeightedTerm, ...], shapes: Shapes) -> tuple[WeightedTerm, ...]:
    """Resolve layer maps and drop terms of weight 0, so that nothing is computed for them."""
    return tuple(WeightedTerm(name=t.name, term=t.term.bind(shapes), weight=t.weight) for t in terms if t.weight > 0)


def needs_of(terms: tuple[WeightedTerm, ...]) -> Needs:
    """Return all that `terms` of positive weight ask for."""
    return reduce(or_, (t.term.needs for t in terms if t.weight > 0), Needs())


class Objective(nn.Module):
    """``sum_i weight_i * (sum over counted rows or tokens of term_i) / count_i``."""

    def __init__(self, student: nn.Module, terms: tuple[WeightedTerm, ...]) -> None:
        super().__init__()
        names = [t.name for t in terms]
        if len({*names, "rows", "labelled"}) < len(names) + 2:
            raise ConfigError(f"terms need different names, and none of 'rows' and 'labelled': {', '.join(names)}")
        self.student = student
        save_shared_once(self)
        self.weighted_terms = tuple(
            replace(t, term=t.term.with_map()) if isinstance(t.term, MappedStates) else t for t in terms
        )
        self.maps = nn.ModuleDict(
            {t.name: t.term.map for t in self.weighted_terms if isinstance(t.term, MappedStates) and t.term.map}
        )
        """Trained with the student, and not exported."""
        self.needs = needs_of(terms)
        self.shares: dict[str, TeacherShare] = {}
        """Of no term here the teacher's weight changes; see `limbeck.losses.tokens`."""

    @property
    def terms(self) -> dict[str, RowTerm]:
        """The terms by name."""
        return {t.name: cast(RowTerm, t.term) for t in self.weighted_terms}

    def count(self, micro_batches: Sequence[Batch]) -> dict[str, Tensor]:
        """Return what each term's sum is divided by: the rows or tokens it counts in all `micro_batches`."""
        return count_rows(self.terms, micro_batches)

    def prompt_parameters(self) -> list[nn.Parameter]:
        """Return the student's soft prompts, empty for a student without any."""
        found = getattr(self.student, "prompt_parameters", list)
        return [parameter for parameter in found() if parameter.requires_grad]

    def forward(self, batch: Batch, counts: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return this micro-batch's share of the step's loss, and of what is logged (detached, unweighted).

        Args:
            batch: one micro-batch with the teacher's signal.
            counts: rows or tokens each term counts over the whole optimiser step; a term with count 0 gives 0.
        """
        student = run_model(self.student, batch["student"], self.needs.student_taps)
        if self.needs.reasons:
            student["reason_log_probs_B"] = cast(Any, self.student).reason_log_probs(batch["reasons"])
        total = student["logits"].new_zeros((), dtype=torch.float32)
        parts: dict[str, Tensor] = {}
        for weighted, term in zip(self.weighted_terms, self.terms.values(), strict=True):
            counted_sum = masked_sum(term.values(student, batch), term.counted(batch))
            part = counted_sum / counts[weighted.name].to(counted_sum).clamp(min=1)
            parts[f"term/{weighted.name}"] = part.detach()
            total = total + weighted.weight * part
        return total, parts | self._watched(student, batch, counts)

    @torch.no_grad()
    def _watched(self, student: Signal, batch: Batch, counts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return shares worth watching that cost nothing: rows with the teacher's label, rows with the gold label.

        A term may have a method `watched` of its own, which returns values of rows by name, to be averaged.
        """
        predicted_B = student["logits"].argmax(dim=-1)
        watched: dict[str, Tensor] = {}
        for term in self.terms.values():
            for name, values_B in term.watched(student, batch).items() if hasattr(term, "watched") else ():
                watched[f"train/{name}"] = values_B.sum() / counts["rows"].to(values_B)
        if self.needs.logits:
            agreed = predicted_B == batch["signal"]["logits"].argmax(dim=-1)
            watched["train/agreement"] = agreed.sum() / counts["rows"].to(predicted_B.device)
        if self.needs.labels:
            right = (predicted_B == batch["labels_B"]).sum()
            watched["train/accuracy"] = right / counts["labelled"].to(predicted_B.device).clamp(min=1)
        return watched
