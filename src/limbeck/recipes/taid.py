"""A target between student and teacher that moves towards the teacher as the student learns."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limbeck.losses.taid import InterpolatedKL, TAIDSchedule
from limbeck.losses.term import WeightedTerm
from limbeck.losses.tokens import TokenTerm
from limbeck.numerics.token_losses import LabelLoss
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage

__all__ = ["taid"]

Share = Annotated[float, Field(ge=0, le=1)]


def taid(
    *,
    start: Share = 0.4,
    end: Share = 1.0,
    step_size: Share = 5e-4,
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.99,
    label_weight: Share = 0.0,
) -> Recipe:
    """``KL(p_t || q)`` at every token, p_t the softmax of t times the teacher's plus 1 - t times the student's logits.

    A small student need not match all of a large teacher's knowledge at once: t grows over the stage, faster while the
    loss falls.

    Paper: Shing et al. 2025, "TAID: Temporally Adaptive Interpolated Distillation for Efficient Knowledge Transfer
    in Language Models", ICLR, arXiv:2501.16937

    Args:
        start: t in the first step.
        end: t towards the last step.
        step_size: alpha, how much a falling loss adds to t per step; 0: t grows linearly.
        momentum: beta, the momentum of the loss's relative change.
        label_weight: weight of the tokens in the rows, 0 to 1.
    """
    between = InterpolatedKL(TAIDSchedule(start=start, end=end, step_size=step_size, momentum=momentum))
    terms = (
        WeightedTerm("divergence", between, weight=1 - label_weight),
        WeightedTerm("labels", TokenTerm(LabelLoss()), weight=label_weight),
    )
    return Recipe("TAID", (Stage("taid", terms),))
