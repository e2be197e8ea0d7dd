"""A term on attributions: which tokens a model's outputs come from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.targets import known
from limbeck.losses.term import Output, Term
from limbeck.numerics.attribution import attribution_distance
from limbeck.numerics.masking import read_positions
from limbeck.types import Attribution, Batch, Needs, Shapes, Signal

__all__ = ["AttributionDistance"]


@dataclass(frozen=True)
class AttributionDistance(Term):
    """``sum_a (a_T - a_S)^2`` of each token, a the attributions of an output to a row's tokens, of length 1 together.

    An attribution is the norm of the integrated gradients of an output at a token's embedding; of the teacher, only
    its `top` largest components. Outputs are those of `limbeck.types.Attribution`. The mean is over all tokens of a
    step.

    Reference: Wu et al. 2023, "AD-KD", arXiv:2305.10010, released code.
    """

    suits = frozenset[Output](("classes", "labels", "values"))
    steps: int = 1
    top: int | None = None
    output: Output = "classes"

    def __post_init__(self) -> None:
        if self.steps < 1 or (self.top is not None and self.top < 1):
            raise ConfigError(f"steps and top must be at least 1, not {self.steps} and {self.top}")

    @property
    def of_student(self) -> Attribution:
        """The student's attributions, of all components."""
        assert self.output in ("classes", "labels", "values")
        return Attribution(self.output, self.steps)

    @property
    def of_teacher(self) -> Attribution:
        """The teacher's."""
        return replace(self.of_student, top=self.top)

    @property
    def needs(self) -> Needs:
        return Needs(
            student_probes=frozenset({self.of_student}),
            teacher_probes=frozenset({self.of_teacher}),
            labels=self.output == "values",
            same_tokens=True,
        )

    def of(self, output: Output) -> Term:
        return replace(self, output=output) if output in self.suits else self

    def bind(self, shapes: Shapes) -> AttributionDistance:
        if self.top is not None and self.top > shapes.teacher_width:
            raise ConfigError(
                f"top_components {self.top} is more than the teacher's embeddings have: {shapes.teacher_width}. Leave "
                "it out for all of them"
            )
        return self

    def mask(self, batch: Batch) -> Tensor:
        read_BT = read_positions(batch)
        return read_BT & known(batch).any(dim=-1)[:, None] if self.output == "values" else read_BT

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        return attribution_distance(
            teacher=teacher["probes"][self.of_teacher], student=student["probes"][self.of_student]
        )
