"""Soft targets: the student imitates the teacher's softened probabilities of classes, tags or tokens."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage

__all__ = ["kd"]


def kd(
    *,
    loss_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0,
    label_weight: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> Recipe:
    """``label_weight CE(gold) + (1 - label_weight) T^2 KL(teacher_T || student_T)``; for texts, at every token.

    With ``label_weight: 0`` no labels are read: all rows of a classifier may be unlabelled. Otherwise the first term
    covers only labelled rows, the second all rows.

    Paper: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531

    Args:
        loss_temperature: T; higher shows more of the teacher's view of what is unlikely.
        label_weight: weight of the gold labels (for texts: the tokens in the rows), 0 to 1.
    """
    terms = (
        WeightedTerm("divergence", ForwardKL(loss_temperature), weight=1 - label_weight),
        WeightedTerm("labels", LabelCrossEntropy(), weight=label_weight),
    )
    return Recipe("KD", (Stage("kd", terms),))
