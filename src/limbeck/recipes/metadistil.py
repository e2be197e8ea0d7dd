"""MetaDistil: a teacher that learns to teach, by how well its student does on a quiz."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from limbeck.errors import ConfigError
from limbeck.losses.hints.hidden import PatientHints
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.output_distance import OutputDistance
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.checks import require_share
from limbeck.recipes.recipe import Recipe
from limbeck.stages.outer_loop import BiLevel
from limbeck.stages.stage import Stage

__all__ = ["metadistil"]

_Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def metadistil(
    *,
    soft_loss: Literal["probabilities", "logits"] = "probabilities",
    loss_temperature: float = 5.0,
    soft_target_weight: float = 0.5,
    hint_weight: float = 100.0,
    strategy: Literal["skip", "last"] = "skip",
    teacher_learning_rate: _Rate = 1e-5,
    pilot_learning_rate: _Rate = 5e-5,
    quiz_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.1,
    quiz_batches: Annotated[int, Field(ge=0)] = 1,
) -> Recipe:
    """The terms of ``pkd`` with ``a T^2 mean_c (p_T - p_S)_c^2`` for its soft targets; the teacher is trained as well.

    Before each step the student tries it (``w' = w - pilot_learning_rate * gradient``), the teacher takes a step that
    lowers the cross-entropy of w' on a quiz, and the student then learns the same rows from the new teacher. The quiz
    is set aside from the labelled training rows; the released code takes the development set, and so reports figures
    on rows that the teacher was trained for. It also runs all quiz rows at each step, weighs its batches and not its
    rows equally, and needs rows padded to 128 tokens; here the quiz is one batch as in the paper. The student's
    optimiser is that of ``training``; theirs has no warm-up and no weight decay. The baselines learn the quiz rows and
    have the teacher as it was. A step needs about four times the memory and six times the time of one of ``pkd``.

    Paper: Zhou et al. 2022, "BERT Learns to Teach: Knowledge Distillation with Meta Learning", ACL, arXiv:2106.04570,
    algorithm 1

    Args:
        soft_loss: what the soft targets compare: ``probabilities``, or ``logits`` (then T has no effect); the
            released code has both.
        loss_temperature: T of the soft targets; 5 in the released code.
        soft_target_weight: a, 0.5 in the released code.
        hint_weight: beta, 100 in the released code, for the mean over layers and components.
        strategy: hints from every N/M-th teacher layer (skip, the released code's), or from the last ones (last).
        teacher_learning_rate: of the teacher's AdamW, 1e-5 in the released code; it falls linearly to 0.
        pilot_learning_rate: of the step that is tried, 5e-5 in the released code, by plain gradient descent.
        quiz_fraction: share of the labelled texts that are the quiz, one in ``round(1 / quiz_fraction)``; a tenth by
            second-hand accounts of the paper.
        quiz_batches: batches of quiz rows at each step; 0: all rows, as in the released code.
    """
    require_share("soft_target_weight", soft_target_weight)
    if not soft_target_weight and not hint_weight:
        raise ConfigError(
            "recipe.soft_target_weight and recipe.hint_weight are both 0: the student learns nothing from a teacher. "
            "Use fine_tune"
        )
    soft = OutputDistance(loss_temperature, soft_loss, reaches_teacher=True)
    terms = (
        WeightedTerm("labels", LabelCrossEntropy(), weight=1 - soft_target_weight),
        WeightedTerm("soft_targets", soft, weight=soft_target_weight),
        WeightedTerm("hints", PatientHints(strategy, reaches_teacher=True), weight=hint_weight),
    )
    outer = BiLevel(quiz_fraction, quiz_batches, teacher_learning_rate, pilot_learning_rate)
    return Recipe("MetaDistil", (Stage("metadistil", terms, outer=outer),))
