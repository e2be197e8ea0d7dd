"""Zero-shot transfer, then fine-tuning: the control that a claim for distillation must beat."""

from __future__ import annotations

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import GivenRows
from limbeck.stages.stage import Stage

__all__ = ["transfer"]


def transfer() -> Recipe:
    """``CE(gold)`` on a few target-language labels, from the English model: `ml_ipd` without its distillation.

    Not in the paper. Any gain of `ml_ipd` over this is due to distillation.

    Paper: none; compare Lauscher et al. 2020, "From Zero to Hero", arXiv:2005.00633 (few-shot transfer)
    """
    return Recipe(
        title="Transfer (no distillation)",
        stages=(Stage("target", (WeightedTerm("labels", LabelCrossEntropy()),), source=GivenRows("target")),),
        starts_from="teacher",
    )
