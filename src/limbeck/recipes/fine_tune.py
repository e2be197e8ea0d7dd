"""Plain fine-tuning: the baseline that distillation has to beat."""

from __future__ import annotations

from limbeck.losses.combine import WeightedTerm
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.stages.stage import Stage

__all__ = ["fine_tune"]


def fine_tune() -> list[Stage]:
    """Cross-entropy on the labelled rows; no teacher.

    Paper: Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers", arXiv:1810.04805, section 4
    """
    return [Stage("fine_tune", (WeightedTerm("labels", LabelCrossEntropy()),), rows="labelled")]
