"""AD-KD: which tokens the teacher's outputs come from."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limbeck.losses.annealed import AnnealedTargets
from limbeck.losses.attribution import AttributionDistance
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage

__all__ = ["ad_kd"]


def ad_kd(
    *,
    soft_target_weight: Annotated[float, Field(ge=0, le=1)] = 0.9,
    attribution_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0,
    loss_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3.0,
    anneal: bool = False,
    steps: Annotated[int, Field(ge=1)] = 1,
    top_components: Annotated[int, Field(ge=1)] | None = None,
) -> Recipe:
    """``(1 - a) CE(gold) + a KL(teacher_T || student_T) + w sum_c |A_c(teacher) - A_c(student)|^2``.

    ``A_c`` are the integrated gradients of ``-log p_c`` at the input of the first layer: the norm for each token,
    divided by the norm over the row's tokens. There are as many as classes, but one of two, whose gradients are
    parallel; in multi-label classification one for each label, in regression that of the squared error, which says
    nothing where the teacher is exactly right. The squared distance is divided by the number of a step's tokens.

    As in the released code, the KL divergence has no factor ``T^2`` (there it is a cross-entropy with the same
    gradient), and gradients are taken at the right end of each step of the path, so one step is gradient times input.
    Gradients are computed as those of ``log(p_c / (1 - p_c))``, weighted along the path: those of a model that is sure
    would be lost in rounding. For two classes and several steps, the released code attributes the gold label.

    The teacher runs along with the student, and both must have one tokenizer. Each class costs another backward pass
    through both models, and the student's graph of it: for many classes use another recipe.

    Paper: Wu et al. 2023, "AD-KD: Attribution-Driven Knowledge Distillation for Language Model Compression", ACL,
    arXiv:2305.10010; what is said of it here is from its released code

    Args:
        soft_target_weight: a; 0.8 to 1 in the released settings, mostly 0.9.
        attribution_weight: w; 1 to 100 in the released settings.
        loss_temperature: T of the soft targets; 1 to 4 in the released settings.
        anneal: let T move linearly to 1 over the steps, as some released settings do over epochs.
        steps: points on the path from 0 to the embeddings; 1 in the released settings.
        top_components: how many components of the teacher's attribution of a token count, the largest ones; default:
            all, as in most released settings (others leave out 4 to 17 % of 768).
    """
    soft = AnnealedTargets(loss_temperature) if anneal else ForwardKL(loss_temperature)
    # ForwardKL has a factor T^2.
    soft_weight = soft_target_weight if anneal else soft_target_weight * loss_temperature**-2
    terms = (
        WeightedTerm("labels", LabelCrossEntropy(), weight=1 - soft_target_weight),
        WeightedTerm("soft_targets", soft, weight=soft_weight),
        WeightedTerm("attribution", AttributionDistance(steps, top_components), weight=attribution_weight),
    )
    return Recipe("AD-KD", (Stage("ad_kd", terms),))
