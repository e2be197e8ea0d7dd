"""Soft targets, labels and the direction of the hidden states."""

from __future__ import annotations

from typing import Literal

from limbeck.losses.hints.hidden import LastHiddenCosine
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage

__all__ = ["distilbert"]


def distilbert(
    *,
    loss_temperature: float = 2.0,
    soft_target_weight: float = 5.0,
    label_weight: float = 2.0,
    cosine_weight: float = 1.0,
    soft_targets_at: Literal["all", "masks"] = "all",
) -> Recipe:
    """``5 T^2 KL + 2 CE(gold) + 1 cosine`` of the last hidden states.

    On plain text (``task.kind: masked_lm``) this is the paper's method: gold are the masked tokens, and KL and cosine
    are means over all tokens. On a task's own rows, with a teacher that knows the task, gold are its labels
    (``label_weight: 0`` needs none) and KL is of its outputs. The weights are those of the released code. The student
    needs the teacher's width and tokens.

    For BERT-base the paper's student is ``student.from_teacher.layers: [1, 3, 5, 8, 10, 12]``, with the teacher's
    embeddings and masked-language head. The embeddings of token types, which it leaves out, stay here: 1,536 of 67.0
    million parameters. It is trained for 3 passes over books and Wikipedia, with a learning rate of 5e-4, 5 % of
    warm-up, gradients clipped at 5, and rare tokens masked more often (``task.frequency_exponent: -0.7``).

    Paper: Sanh et al. 2019, "DistilBERT, a distilled version of BERT", arXiv:1910.01108, sections 2 and 3

    Args:
        loss_temperature: T of the soft targets.
        soft_target_weight: weight of the divergence from the teacher.
        label_weight: weight of the gold labels.
        cosine_weight: weight of the cosine distance of the last layers' states.
        soft_targets_at: tokens of plain text whose probabilities are compared: ``all``, as in the released code, or
            those behind ``masks``. Other kinds of task have no choice.
    """
    soft = ForwardKL(loss_temperature, everywhere=soft_targets_at == "all")
    terms = (
        WeightedTerm("soft_targets", soft, weight=soft_target_weight),
        WeightedTerm("labels", LabelCrossEntropy(), weight=label_weight),
        WeightedTerm("cosine", LastHiddenCosine(), weight=cosine_weight),
    )
    return Recipe("DistilBERT", (Stage("distilbert", terms),))
