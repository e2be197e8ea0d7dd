"""Pre-trained distillation: the teacher's probabilities for a compact pretrained student, then optionally labels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import TeacherCrossEntropy
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import GivenRows
from limbeck.stages.stage import Stage

__all__ = ["pd"]


def pd(*, fine_tune_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0) -> Recipe:
    """``-sum_c p_c log q_c`` with the teacher's probabilities p on all rows; then optionally ``CE(gold)``.

    Distillation reads no labels: give it as many unlabelled rows as possible. The paper's first step, masked
    language modelling, is a run of its own (``fine_tune`` with ``task.kind: masked_lm``): a student that is not
    pretrained loses most of the gain.

    Paper: Turc et al. 2019, "Well-Read Students Learn Better: On the Importance of Pre-training Compact Models",
    arXiv:1908.08962

    Args:
        fine_tune_fraction: share of the steps for fine-tuning on the labelled rows at the end, which the paper leaves
            open. With few labels it can undo what was distilled.
    """
    terms = (WeightedTerm("teacher_probabilities", TeacherCrossEntropy()),)
    stages = [Stage("distillation", terms, share=1 - fine_tune_fraction)]
    if fine_tune_fraction:
        labels = (WeightedTerm("labels", LabelCrossEntropy()),)
        stages.append(Stage("fine_tune", labels, share=fine_tune_fraction, source=GivenRows("labelled")))
    return Recipe("PD", tuple(stages))
