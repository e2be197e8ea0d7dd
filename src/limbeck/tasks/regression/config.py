"""The run file of a regression model (``task.kind: regression``)."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from limbeck.data.targets.regression import Regression
from limbeck.tasks.head_config import HeadRunConfig
from limbeck.tasks.run_config import NamedRecipe, name_alone

__all__ = ["CONFIG", "RegressorRecipe", "RegressorRunConfig"]


class RegressorRecipe(NamedRecipe):
    """A recipe's name and its arguments."""

    kind = "regression"


_Recipe = Annotated[RegressorRecipe, BeforeValidator(name_alone)]


class RegressorRunConfig(HeadRunConfig):
    """A whole run file."""

    task: Regression
    recipe: _Recipe
    baselines: list[_Recipe] = [RegressorRecipe(name="fine_tune")]
    """Recipes of students to compare with: from the same start, with the same steps, batches and seeds."""


CONFIG = RegressorRunConfig
