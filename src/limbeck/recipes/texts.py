"""What a recipe of generating models returns."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.losses.tokens import TokenTerm
from limbeck.numerics.token_losses import TokenDivergence
from limbeck.stages.stage import Stage

__all__ = ["TextRecipe"]


@dataclass(frozen=True)
class TextRecipe:
    """The stages of a student that writes; each reads prompts, and completions by whoever the stage names."""

    title: str
    stages: tuple[Stage, ...]

    @property
    def reads_completions(self) -> bool:
        """Whether any stage trains on the completions of the rows."""
        return any(stage.completions == "data" and stage.reads_given for stage in self.stages)

    @property
    def teacher_writes(self) -> bool:
        """Whether any stage trains on completions that the teacher wrote beforehand."""
        return any(stage.completions == "teacher" for stage in self.stages)

    @property
    def loss_temperatures(self) -> set[float]:
        """The temperatures at which probabilities are compared with the teacher's; empty where none are."""
        terms = [term.term for stage in self.stages for term in stage.terms if term.weight > 0]
        losses = [term.loss for term in terms if isinstance(term, TokenTerm)]
        return {loss.loss_temperature for loss in losses if isinstance(loss, TokenDivergence)}
