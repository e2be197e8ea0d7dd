"""Soft targets: the student imitates the teacher's softened class probabilities."""

from __future__ import annotations

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.checks import require_share
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage

__all__ = ["word_level_kd"]


def word_level_kd(*, loss_temperature: float = 2.0, label_weight: float = 0.5) -> Recipe:
    """``label_weight CE(gold) + (1 - label_weight) T^2 KL(teacher_T || student_T)``.

    With ``label_weight: 0`` no label is read: all rows may be unlabelled. Otherwise the first term speaks
    about the labelled rows only, the second about all.

    Paper: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531

    Args:
        loss_temperature: T; higher shows more of the teacher's view of the wrong classes.
        label_weight: weight of the gold labels, 0 to 1.
    """
    require_share("label_weight", label_weight)
    terms = (
        WeightedTerm("soft_targets", ForwardKL(loss_temperature), weight=1 - label_weight),
        WeightedTerm("labels", LabelCrossEntropy(), weight=label_weight),
    )
    return Recipe("KD", (Stage("word_level_kd", terms),))
