"""Patient knowledge distillation: hints from intermediate [CLS] states."""

from __future__ import annotations

from typing import Literal

from limbeck.losses.hints.hidden import PatientHints
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.checks import require_share
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage

__all__ = ["pkd"]


def pkd(
    *,
    strategy: Literal["skip", "last", "cka"] = "skip",
    loss_temperature: float = 5.0,
    soft_target_weight: float = 0.5,
    hint_weight: float = 100.0,
    use_labels: bool = True,
) -> Recipe:
    """``(1 - a) CE(gold) + a T^2 KL + beta`` mean squared distance of normalised [CLS] states.

    Defaults lie inside the paper's grid (T 5, 10, 20; a 0.2, 0.5, 0.7; beta 10 to 1000). The student
    needs the teacher's width; the paper starts it from the teacher's first layers.

    Paper: Sun et al. 2019, "Patient Knowledge Distillation for BERT Model Compression", arXiv:1908.09355

    Args:
        strategy: hints from every N/M-th teacher layer (skip), from the last ones (last), or from those that are most
            like the student's layers on the rows of the run (cka, which the paper does not have).
        loss_temperature: T of the soft targets.
        soft_target_weight: a.
        hint_weight: beta, for the mean over layers and components (the released code's reduction).
        use_labels: read gold labels; without them the first term is left out.
    """
    require_share("soft_target_weight", soft_target_weight)
    label_weight = 1 - soft_target_weight if use_labels else 0.0
    terms = (
        WeightedTerm("labels", LabelCrossEntropy(), weight=label_weight),
        WeightedTerm("soft_targets", ForwardKL(loss_temperature), weight=soft_target_weight),
        WeightedTerm("hints", PatientHints(strategy), weight=hint_weight),
    )
    return Recipe("PKD", (Stage("pkd", terms),))
