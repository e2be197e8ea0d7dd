"""Soft targets, labels and the direction of the hidden states."""

from __future__ import annotations

from limbeck.losses.hints.hidden import LastHiddenCosine
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage

__all__ = ["distilbert"]


def distilbert(
    *,
    loss_temperature: float = 2.0,
    soft_target_weight: float = 5.0,
    label_weight: float = 2.0,
    cosine_weight: float = 1.0,
) -> Recipe:
    """``5 T^2 KL + 2 CE(gold) + 1 cosine`` of the last hidden states, on the task's own rows.

    The weights are those of the released code, where the second term is masked language modelling; on
    a classification task the gold labels take its place (``label_weight: 0`` needs none). The student
    needs the teacher's width and tokens; `student.from_teacher` with ``layers: spread`` is the paper's choice.

    Paper: Sanh et al. 2019, "DistilBERT, a distilled version of BERT", arXiv:1910.01108

    Args:
        loss_temperature: T of the soft targets.
        soft_target_weight: weight of the divergence from the teacher.
        label_weight: weight of the gold labels.
        cosine_weight: weight of the cosine distance of the last layers' states.
    """
    terms = (
        WeightedTerm("soft_targets", ForwardKL(loss_temperature), weight=soft_target_weight),
        WeightedTerm("labels", LabelCrossEntropy(), weight=label_weight),
        WeightedTerm("cosine", LastHiddenCosine(), weight=cosine_weight),
    )
    return Recipe("DistilBERT", (Stage("distilbert", terms),))
