"""A pruned teacher learns from its original and from labels: both count the same."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage

__all__ = ["minima"]


def minima(
    *,
    loss_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0,
    label_weight: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> Recipe:
    """``label_weight CE(gold) + (1 - label_weight) KL(teacher_T || student_T)``, for a student made by pruning.

    The method is in the student: ``student.pruned`` in the run file cuts the teacher to a shape by the importance of
    its units. Any other student works as well, and then this is `kd` at temperature 1. The KL divergence has the
    gradient of the paper's soft cross-entropy and is 0 where both agree; there is no factor ``T^2``. For texts it is
    over the supervised tokens; the released code takes all positions, padding included, of rows packed to 4096 tokens.

    The paper prunes LLaMA2-7B to 24 layers of width 3072 with 24 heads and 8192 neurons, and trains with AdamW (0.9,
    0.95), a learning rate of 3e-4 that falls along a cosine after 1 % of warm-up, weight decay 0.1 and gradients
    clipped at 1, after it has adapted the teacher to the corpus (``teacher.fine_tune``). It finds a teacher of about
    2.5 times the student's size best.

    Paper: Zhang et al. 2023, "Towards the Law of Capacity Gap in Distilling Language Models", arXiv:2311.07052,
    section 4

    Args:
        loss_temperature: T of the soft targets; 1 as in the released code.
        label_weight: weight of the gold labels (for texts: the tokens in the rows); 0.5 as in the released code.
    """
    of_soft = (1 - label_weight) * loss_temperature**-2  # the term has a factor T^2
    terms = (
        WeightedTerm("divergence", ForwardKL(loss_temperature), weight=of_soft),
        WeightedTerm("labels", LabelCrossEntropy(), weight=label_weight),
    )
    return Recipe("MiniMA", (Stage("minima", terms),))
