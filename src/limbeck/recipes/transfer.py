"""Zero-shot transfer, then fine-tuning: the control that a claim for distillation must beat."""

from __future__ import annotations

from limbeck.losses.candidates import CandidateCrossEntropy
from limbeck.losses.combine import WeightedTerm
from limbeck.recipes.alignment import Alignment
from limbeck.stages.stage import Stage

__all__ = ["transfer"]


def transfer() -> Alignment:
    """``CE(gold)`` on few target-language labels, from the English model on: `ml_ipd` without its distillation.

    Not in the paper. Whatever `ml_ipd` gains over this is what distillation gained.

    Paper: none; compare Lauscher et al. 2020, "From Zero to Hero", arXiv:2005.00633 (few-shot transfer)
    """
    return Alignment(
        title="Transfer (no distillation)",
        stages=(Stage("target", (WeightedTerm("labels", CandidateCrossEntropy()),), rows="target"),),
        starts_from="english_model",
    )
