"""How a classifier is trained: the sections of a run file that students, teachers and members of ensembles share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from limbeck.stages.early_stopping import EarlyStopping
from limbeck.stages.stage import Training
from limbeck.tasks.run_config import NamedRecipe, name_alone

__all__ = ["ClassifierEarlyStopping", "ClassifierRecipe", "ClassifierTraining", "Trained"]


class ClassifierRecipe(NamedRecipe):
    """A recipe's name and its arguments."""

    kind = "classification"


class ClassifierEarlyStopping(EarlyStopping):
    """How a stage of a classifier is judged."""

    metric_for_best_model: Literal["loss", "accuracy"] = "loss"
    """Cross-entropy with the gold labels, or the share of rows that are right."""


class ClassifierTraining(Training):
    """How a classifier is trained."""

    fit_head: bool = True
    """Begin a head that has no trained weights as a logistic regression on the frozen features, for the labels or the
    teacher's probabilities that the first stage reads; otherwise with random weights."""
    early_stopping: ClassifierEarlyStopping | None = None
    """Judge the model on development rows (``data.dev``, or a tenth of the labelled rows, at least 20, which are then
    not trained on) and end with its best weights; default: the last ones."""


Trained = Annotated[ClassifierRecipe, BeforeValidator(name_alone)]
"""A recipe in a run file: its name, or a section."""
