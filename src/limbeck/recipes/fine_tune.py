"""Plain fine-tuning: the baseline that distillation has to beat."""

from __future__ import annotations

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import GivenRows
from limbeck.stages.stage import Stage

__all__ = ["fine_tune"]


def fine_tune() -> Recipe:
    """Cross-entropy on the labelled rows (for texts, on their completions); no teacher.

    Paper: Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers", arXiv:1810.04805, section 4; of
    texts: Ouyang et al. 2022, "Training language models to follow instructions with human feedback", arXiv:2203.02155,
    section 3.5
    """
    stage = Stage("fine_tune", (WeightedTerm("labels", LabelCrossEntropy()),), source=GivenRows("labelled"))
    return Recipe("Fine-tuned student", (stage,))
