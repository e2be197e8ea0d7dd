"""The run file of a masked language model (``task.kind: masked_lm``)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from limbeck.data.masked.task import MaskedLM
from limbeck.recipes.capabilities import Capability, Lack
from limbeck.stages.early_stopping import EarlyStopping
from limbeck.stages.stage import Training
from limbeck.tasks.baselines import pruning_lacks, student_recipes, with_baselines, with_recipe
from limbeck.tasks.run_config import (
    Data,
    Filling,
    NamedRecipe,
    OutputFolder,
    RateSearch,
    RunSettings,
    Seeds,
    Student,
    name_alone,
)

__all__ = ["CONFIG", "MaskedRecipe", "MaskedRunConfig", "MaskedTeacher", "MaskedTraining"]


class MaskedTraining(Training):
    """How a masked language model is trained."""

    early_stopping: EarlyStopping | None = None
    """Judge the model by its loss per masked token on development rows (``data.dev``, or a tenth of the training rows,
    at least 20, which are then not trained on), and end with its best weights; default: the last ones."""


class MaskedTeacher(BaseModel):
    """The large model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    """A folder in Hugging Face format or a hub name of an encoder with its masked-language head."""
    fine_tune: MaskedTraining | None = None
    """Train it on the rows first, as a masked language model; an encoder without a head then gets a new one."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for models whose authors you trust."""


class MaskedRecipe(NamedRecipe):
    """A recipe's name and its arguments."""

    kind = "masked_lm"


class MaskedRunConfig(RunSettings):
    """A whole run file of a masked language model."""

    task: MaskedLM
    data: Data
    teacher: MaskedTeacher
    student: Student
    recipe: Annotated[MaskedRecipe, BeforeValidator(name_alone)]
    training: MaskedTraining = MaskedTraining()
    search: RateSearch | None = None
    """Search for each system's learning rate first."""
    seeds: Seeds = [0]
    """One student is trained per seed; a test over seeds needs three or more."""
    baselines: list[Annotated[MaskedRecipe, BeforeValidator(name_alone)]] = [MaskedRecipe(name="fine_tune")]
    """Recipes of students to compare with: from the same start, with the same steps, batches and seeds."""
    output: OutputFolder
    """The run folder."""
    provenance: dict[str, Any] = {}
    """Written by limbeck into run.yaml: versions, hardware, fingerprints. Not read."""

    def recipes(self) -> dict[str, MaskedRecipe]:
        """The recipes of all students by the names of their systems, the main one first."""
        return student_recipes(self.recipe, self.baselines)

    def fillings(self) -> list[Filling]:
        """Return the functions that spell out the arguments of the recipes."""
        lacks = [Lack(Capability.RATIONALES, "no student of this kind writes any", "Leave rationale_weight out")]
        lacks += pruning_lacks(self.student, self.training)
        return [
            (("recipe",), lambda config: with_recipe(config, lacks)),
            (("baselines",), lambda config: with_baselines(config, lacks)),
        ]


CONFIG = MaskedRunConfig
