"""A recipe: stages, and where the student starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeVar

from limbeck.losses.term import needs_of
from limbeck.models.retrieval_memory import Retrieval
from limbeck.numerics.token_losses import TokenDivergence
from limbeck.sequences.class_pairs import ClassPairs
from limbeck.sequences.given import GivenRows, Paired, TeacherWritten
from limbeck.sequences.source import Source
from limbeck.stages.stage import Stage
from limbeck.types import Needs

__all__ = ["RankingOptions", "Recipe"]

_Part = TypeVar("_Part", bound=Source)


@dataclass(frozen=True)
class RankingOptions:
    """How a system of a cross-lingual run ranks candidates, if it differs from the run's settings."""

    scorer: Literal["run", "verbaliser"] = "run"
    prompts: Literal["run", "hard", "task_name"] = "run"
    """The run's choice of prompts; both levels as hard text; or only the task's name."""
    critic: bool = False
    """Whether a second head estimates the reward of each record."""


@dataclass(frozen=True)
class Recipe:
    """How one student is trained, for any kind of task."""

    title: str
    stages: tuple[Stage, ...]
    starts_from: Literal["student", "teacher"] = "student"
    """The student that the run file describes, or a copy of the teacher; in a cross-lingual run the pretrained
    backbone, or the English instruction model."""
    options: RankingOptions = field(default_factory=RankingOptions)
    retrieval: Retrieval | None = None
    """How its students look up training rows when they answer; ``None``: they do not."""

    def part(self, kind: type[_Part]) -> _Part | None:
        """Return the first source in its stages, or inside one of them, that is a `kind`."""
        return next((part for stage in self.stages if (part := stage.part(kind)) is not None), None)

    @property
    def needs(self) -> Needs:
        """Everything that its terms with positive weight need."""
        return needs_of(tuple(term for stage in self.stages for term in stage.terms))

    def is_control_of(self, main: Recipe) -> bool:
        """Whether it starts as `main` does but trains without a teacher: gains over it come from distillation."""
        alike = (self.starts_from, self.options) == (main.starts_from, main.options)
        taught = (TeacherWritten, Paired)
        return alike and not self.needs.teacher and all(self.part(kind) is None for kind in taught)

    @property
    def plain(self) -> bool:
        """Whether it trains on given rows without a teacher: the baseline of distillation."""
        given = (GivenRows, ClassPairs)
        return not self.needs.teacher and all(isinstance(stage.source, given) for stage in self.stages)

    @property
    def reads_completions(self) -> bool:
        """Whether any stage trains on the completions of the rows, in a generation run."""
        return any(stage.part(TeacherWritten) is None and stage.reads_given for stage in self.stages)

    @property
    def samples(self) -> bool:
        """Whether any stage trains on texts that the student generates during it."""
        return any(stage.sampled is not None for stage in self.stages)

    @property
    def loss_temperatures(self) -> set[float]:
        """The temperatures of its token-level divergences from the teacher."""
        losses = [term.term.token_loss for stage in self.stages for term in stage.terms if term.weight > 0]
        return {loss.loss_temperature for loss in losses if isinstance(loss, TokenDivergence)}
