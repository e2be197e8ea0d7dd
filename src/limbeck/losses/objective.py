"""A student and the weighted terms it is trained on, in one module.

The student and the terms' own parameters sit in one module, whose `forward` computes the loss, so that
wrappers for many devices (DDP) see one forward pass. Only the student is exported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from limbeck.errors import ConfigError
from limbeck.losses.readout import ClassReadout, Readout
from limbeck.losses.reduction import count
from limbeck.losses.term import Term, WeightedTerm, needs_of
from limbeck.models.shared_weights import save_shared_once
from limbeck.types import Batch

__all__ = ["Objective"]


class Objective(nn.Module):
    """``sum_i weight_i * (sum over counted rows or tokens of term_i) / count_i``.

    Args:
        student: the model to train.
        terms: bound to this student and its teacher.
        readout: this kind of student's output; default: classes.
        trains_student: whether the student is trained, and not the terms' own parameters alone. Otherwise it stays in
            evaluation mode, and no gradient is computed for it.

    Raises:
        ConfigError: two terms with the same name, or a term that does not suit the student.
    """

    def __init__(
        self,
        student: nn.Module,
        terms: tuple[WeightedTerm, ...],
        readout: Readout | None = None,
        *,
        trains_student: bool = True,
    ) -> None:
        super().__init__()
        self.student = student
        self.readout = readout or ClassReadout()
        self._trains_student = trains_student
        self.weighted_terms = terms
        _check(terms, self.readout)
        save_shared_once(self)
        self.term_modules = nn.ModuleList(
            module for term in self.terms.values() if (module := term.module()) is not None
        )
        """Trained with the student but not exported."""
        self.needs = needs_of(terms)

    @property
    def terms(self) -> dict[str, Term]:
        """Terms by name."""
        return {t.name: t.term for t in self.weighted_terms}

    @property
    def changing_terms(self) -> dict[str, Term]:
        """Terms with a state that each step changes."""
        return {name: term for name, term in self.terms.items() if term.state()}

    def count(self, micro_batches: Sequence[Batch]) -> dict[str, Tensor]:
        """Return the divisor of each term's sum: the rows or tokens that count for it in all `micro_batches`."""
        counts = {
            name: count([term.mask(batch) for batch in micro_batches], term.reduction)
            for name, term in self.terms.items()
        }
        return counts | self.readout.count(micro_batches)

    def prompt_parameters(self) -> list[nn.Parameter]:
        """Return the student's soft prompts, if any."""
        found = getattr(self.student, "prompt_parameters", list)
        return [parameter for parameter in found() if parameter.requires_grad]

    def train(self, mode: bool = True) -> Self:
        """Set training mode; a student that is not trained has no dropout."""
        super().train(mode)
        if not self._trains_student:
            self.student.eval()
        return self

    def forward(self, batch: Batch, counts: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return this micro-batch's share of the step's loss, and of the logged metrics (detached, unweighted).

        Args:
            batch: one micro-batch with the teacher's signal.
            counts: counts of the whole optimiser step, from `count`; a term with count 0 gives 0.
        """
        with torch.set_grad_enabled(self._trains_student and torch.is_grad_enabled()):
            student = self.readout.run(self.student, batch, self.needs)
        total, parts = self.readout.loss(self.weighted_terms, student, batch, counts)
        return total, parts | self.readout.metrics(self.weighted_terms, student, batch, counts)


def _check(terms: tuple[WeightedTerm, ...], readout: Readout) -> None:
    names = [t.name for t in terms]
    if len({*names, "rows", "labelled"}) < len(names) + 2:
        raise ConfigError(f"terms need different names, other than 'rows' and 'labelled': {', '.join(names)}")
    for t in terms:
        if readout.output not in t.term.suits:
            raise ConfigError(
                f"the term '{t.name}' ({type(t.term).__name__}) reads {' or '.join(sorted(t.term.suits))}, but "
                f"this student gives {readout.output}"
            )
