"""MixKD: the teacher's answers to mixtures of rows, and mixed labels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL, LogitDistance
from limbeck.losses.mixup import MixedLabels, MixedTargets
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage

__all__ = ["mixkd"]

_Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def mixkd(
    *,
    label_weight: _Weight = 1.0,
    soft_target_weight: _Weight = 1.0,
    student_mixup_weight: _Weight = 1.0,
    teacher_mixup_weight: _Weight = 1.0,
    concentration: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.4,
    loss_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None,
) -> Recipe:
    """``CE(y) + d(z_T, z_S)`` of rows, ``CE(y') + d(z_T(e'), z_S(e'))`` of mixtures ``e' = s e_i + (1 - s) e_j``.

    e are word embeddings, of each model its own, 0 at padding, before positions, token types and norm; the share s is
    drawn from Beta(a, a) for each row and step, the same for both models, and ``y' = s y_i + (1 - s) y_j``. d is the
    mean over classes of the squared difference of logits.

    The partner j is the other row of a pair of neighbours in the step, whose lengths are similar; in the paper any row
    of the batch. So an optimiser step, and each micro-batch, needs an even number of rows. A row without a label, or
    with a partner without one, has no ``CE(y')``. The teacher runs along with the student, and both must have one
    tokenizer. Tags mix position by position. Texts to generate do not: their tokens share no positions.

    Left out by default: back-translated copies of the rows, which are rows like any others in data.train

    Paper: Liang et al. 2021, "MixKD: Towards Efficient Distillation of Large-scale Language Models", ICLR,
    arXiv:2011.00593. There is no released code

    Args:
        label_weight: weight of the gold labels of rows; 1, as all weights, in the paper.
        soft_target_weight: weight of the teacher's logits of rows.
        student_mixup_weight: weight of the gold labels of mixtures (SM).
        teacher_mixup_weight: weight of the teacher's logits of mixtures (TMKD).
        concentration: a; 0.4 in the paper. Below 1, most mixtures are close to one of their rows.
        loss_temperature: compare probabilities at this temperature instead of logits, as `kd` does.
    """
    distance = LogitDistance() if loss_temperature is None else ForwardKL(loss_temperature)
    terms = (
        WeightedTerm("labels", LabelCrossEntropy(), weight=label_weight),
        WeightedTerm("soft_targets", distance, weight=soft_target_weight),
        WeightedTerm("mixed_labels", MixedLabels(LabelCrossEntropy(), concentration), weight=student_mixup_weight),
        WeightedTerm("mixed_targets", MixedTargets(distance, concentration), weight=teacher_mixup_weight),
    )
    return Recipe("MixKD", (Stage("mixkd", terms),))
