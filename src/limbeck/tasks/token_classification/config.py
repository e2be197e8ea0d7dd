"""The run file of a tagger (``task.kind: token_classification``)."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, model_validator

from limbeck.data.tagging.task import TokenClassification
from limbeck.tasks.head_config import HeadRunConfig
from limbeck.tasks.run_config import NamedRecipe, name_alone

__all__ = ["CONFIG", "TaggerRecipe", "TaggerRunConfig"]


class TaggerRecipe(NamedRecipe):
    """A recipe's name and its arguments."""

    kind = "token_classification"


_Recipe = Annotated[TaggerRecipe, BeforeValidator(name_alone)]


class TaggerRunConfig(HeadRunConfig):
    """A whole run file."""

    task: TokenClassification
    recipe: _Recipe
    baselines: list[_Recipe] = [TaggerRecipe(name="fine_tune")]
    """Recipes of students to compare with: from the same start, with the same steps, batches and seeds."""

    @model_validator(mode="after")
    def _nothing_is_pooled(self) -> TaggerRunConfig:
        for name, section in (("teacher", self.teacher), ("student", self.student)):
            if section.pooling != "auto":
                raise ValueError(f"{name}.pooling is for one answer a text; here the head reads each token")
        return self


CONFIG = TaggerRunConfig
