"""SetFit: an encoder learns from few labels by comparing texts, then gets a logistic regression as its head."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from limbeck.losses.contrastive import PairCosine, SupervisedContrastive
from limbeck.losses.term import Term, WeightedTerm
from limbeck.recipes.linear_probe import probe
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.class_pairs import ClassPairs
from limbeck.stages.stage import Stage

__all__ = ["setfit"]

_HEAD_STRENGTH = 1.0
"""As in scikit-learn. Cross-validation would find no row that the features have not learned: it takes the largest."""


def setfit(
    *,
    loss: Literal["cosine", "supervised_contrastive"] = "cosine",
    similarity_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1,
    spread_labels: bool = False,
) -> Recipe:
    """``(cos(u, v) - [same class])^2`` of pairs of labelled rows, then logistic regression as the head; no teacher.

    Half of the pairs have rows of one class, and classes take turns. A step of 32 rows has 16 pairs, as in the paper.

    Paper: Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts", arXiv:2209.11055, section 3; the other
    loss: Khosla et al. 2020, "Supervised Contrastive Learning", arXiv:2004.11362

    Args:
        loss: ``cosine`` compares the two rows of a pair; ``supervised_contrastive`` each row with all others of the
            step, by ``-mean_p log(exp(z z_p / t) / sum_a exp(z z_a / t))``, p the rows of its class.
        similarity_temperature: t of ``supervised_contrastive``; smaller pays more attention to the nearest rows.
        spread_labels: let unlabelled rows take part in fitting the head, as in `linear_probe`.
    """
    by_pairs = loss == "cosine"
    term: Term = PairCosine() if by_pairs else SupervisedContrastive(similarity_temperature)
    contrastive = Stage("contrastive", (WeightedTerm(loss, term),), source=ClassPairs(negatives=by_pairs))
    return Recipe("SetFit", (contrastive, probe(_HEAD_STRENGTH, spread_labels=spread_labels)))
