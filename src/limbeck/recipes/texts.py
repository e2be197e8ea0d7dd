"""What a recipe of generating models returns."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.sequences.on_policy import OnPolicy
from limbeck.sequences.rollouts import Rollouts
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
        return any(_reads_completions(stage) for stage in self.stages)

    @property
    def teacher_writes(self) -> bool:
        """Whether any stage trains on completions that the teacher wrote beforehand."""
        return any(stage.completions == "teacher" for stage in self.stages)


def _reads_completions(stage: Stage) -> bool:
    if stage.completions == "teacher" or isinstance(stage.written, Rollouts):
        return False
    if isinstance(stage.written, OnPolicy):
        return stage.written.share < 1 or stage.written.beside
    return True
