"""The run file of a multi-label classifier (``task.kind: multi_label``)."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from limbeck.data.targets.multi_label import MultiLabel
from limbeck.tasks.head_config import HeadRunConfig
from limbeck.tasks.run_config import NamedRecipe, name_alone

__all__ = ["CONFIG", "LabelSetRecipe", "LabelSetRunConfig"]


class LabelSetRecipe(NamedRecipe):
    """A recipe's name and its arguments."""

    kind = "multi_label"


_Recipe = Annotated[LabelSetRecipe, BeforeValidator(name_alone)]


class LabelSetRunConfig(HeadRunConfig):
    """A whole run file."""

    task: MultiLabel
    recipe: _Recipe
    baselines: list[_Recipe] = [LabelSetRecipe(name="fine_tune")]
    """Recipes of students to compare with: from the same start, with the same steps, batches and seeds."""


CONFIG = LabelSetRunConfig
