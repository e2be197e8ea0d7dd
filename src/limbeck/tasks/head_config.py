"""Run files of kinds whose models have a head on an encoder or decoder: entities, numbers, multiple labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, model_validator

from limbeck.recipes.capabilities import Capability, Idle, Lack
from limbeck.stages.early_stopping import EarlyStopping
from limbeck.stages.stage import Training, require_rows_together
from limbeck.students.adapters import Adapter
from limbeck.tasks.baselines import pruning_lacks, student_recipes, with_baselines, with_recipe
from limbeck.tasks.run_config import (
    Data,
    Filling,
    NamedRecipe,
    OutputFolder,
    PoolingName,
    RateSearch,
    RunSettings,
    Seeds,
    Student,
)

__all__ = ["HeadRunConfig", "HeadStudent", "HeadTeacher", "HeadTraining"]


class HeadTraining(Training):
    """How a model with a head is trained."""

    early_stopping: EarlyStopping | None = None
    """Judge the model on development rows (``data.dev``, or a tenth of the labelled rows, at least 20, which are then
    not trained on) by the verdict's metric, and end with its best weights; default: the last ones."""


class HeadTeacher(BaseModel):
    """The teacher: exactly one of `model` and `labels_from`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = None
    """A folder in Hugging Face format or a hub name: a model fine-tuned for this kind of task, or an encoder."""
    fine_tune: HeadTraining | None = None
    """Fine-tune it on the labelled rows first."""
    pooling: PoolingName = "auto"
    """How the head of an encoder that is fine-tuned reads the states of a text's tokens."""
    labels_from: str | list[str] | None = None
    """Field of the rows with the teacher's answers, in the form of the gold ones; a list if these have one field each.
    There is no model then."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for models whose authors you trust."""

    @model_validator(mode="after")
    def _one_kind(self) -> HeadTeacher:
        if (self.model is None) == (self.labels_from is None):
            raise ValueError("give exactly one of model and labels_from")
        if self.fine_tune is not None and self.model is None:
            raise ValueError("fine_tune is for a teacher with a model; a column holds final answers")
        if self.fine_tune is None and self.pooling != "auto":
            raise ValueError("pooling is for a teacher with fine_tune; a trained one is read as it was trained")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The fields of its answers; none for a model."""
        return (self.labels_from,) if isinstance(self.labels_from, str) else tuple(self.labels_from or ())


class HeadStudent(Student):
    """The small model, and the part of it that is trained."""

    adapter: Adapter | None = None
    """Train only an adapter and the head; default: train everything."""
    pooling: PoolingName = "auto"
    """How the head reads the states of a text's tokens. ``auto``: as the teacher that it is copied from, or as its own
    model was trained."""


class HeadRunConfig(RunSettings):
    """A whole run file; each kind adds ``task``, ``recipe`` and ``baselines``."""

    if TYPE_CHECKING:
        baselines: list[Any]

    data: Data
    teacher: HeadTeacher
    student: HeadStudent
    training: HeadTraining = HeadTraining()
    search: RateSearch | None = None
    """Search for each system's learning rate first."""
    speed: bool = True
    """Measure speed and memory at the end of the run, in a few seconds; else only sizes are known."""
    seeds: Seeds = [0]
    """One student is trained per seed; a test over seeds needs three or more."""
    output: OutputFolder
    """The run folder."""
    provenance: dict[str, Any] = {}
    """Written by limbeck into run.yaml: versions, hardware, fingerprints. Not read."""

    @model_validator(mode="after")
    def _student_of_a_teacher_without_weights(self) -> HeadRunConfig:
        if self.teacher.model is None and self.student.model is None:
            raise ValueError("student: this teacher has no layers or tokenizer to copy; give student.model")
        return self

    def recipes(self) -> dict[str, NamedRecipe]:
        """The recipes of all students by the names of their systems, the main one first."""
        return student_recipes(self.recipe, self.baselines)

    def fillings(self) -> list[Filling]:
        """Return the functions that spell out the arguments of the recipes."""
        return [
            (("recipe",), lambda config: with_recipe(config, config._offers())),
            (("baselines",), lambda config: with_baselines(config, list(config._offers()))),
            (("training",), HeadRunConfig._with_whole_steps),
        ]

    def _with_whole_steps(self) -> HeadRunConfig:
        """Return the run, if its micro-batches keep together what its terms compare. Raises `ConfigError`."""
        rows = self.training.micro_batch_size or self.training.batch_size
        for recipe in self.recipes().values():
            for stage in recipe.build().stages:
                require_rows_together(stage, rows, self.training.batch_size)
        return self

    def _offers(self) -> Iterator[Lack | Idle]:
        if self.teacher.model is None:
            for state in (Capability.HIDDEN_STATES, Capability.FIRST_STATES, Capability.PROBES):
                yield Lack(state, "teacher.labels_from gives answers only", "Use kd, or a teacher with a model")
        yield from pruning_lacks(self.student, self.training)
        yield Lack(Capability.RATIONALES, "no student of this kind writes any", "Leave rationale_weight out")
