"""ReAugKD: relations among a step's embeddings, and answers with a memory of the training rows."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limbeck.losses.embeddings import BatchRelations, EmbeddingMap
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import WeightedTerm
from limbeck.models.retrieval_memory import Retrieval
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import GivenRows
from limbeck.stages.stage import Stage

__all__ = ["reaugkd"]

_Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def reaugkd(
    *,
    map_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2,
    label_weight: _Weight = 1.0,
    soft_target_weight: _Weight = 1.0,
    relation_weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0,
    loss_temperature: _Temperature = 2.0,
    similarity_temperature: _Temperature = 0.1,
    neighbours: Annotated[int, Field(ge=1)] = 16,
    own_share: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> Recipe:
    """``CE(gold) + a T^2 KL + b KL(u || v)``; answers are ``beta q + (1 - beta)`` of the nearest training rows' ones.

    ``u_ij = softmax_j(z_i z_j / t)``, ``v_ij = softmax_j(z_i s_j / t)`` over the rows of a step; s are the student's
    [CLS] states and z the teacher's through a linear map, all divided by their length. First the map is trained alone,
    by supervised contrastive loss. When the student answers, it looks up the k entries z nearest to its s, and mixes
    the teacher's probabilities there with its own q. k, t and beta are chosen on development rows, if there are any.

    The memory, one embedding and the probabilities of each training row, is saved with the student; without it, the
    folder is the plain classifier. The paper has no released code; it tunes a, b, t, k and beta, and does not report
    them. Its map starts at random, here as the identity cut to the widths.

    Paper: Zhang et al. 2023, "ReAugKD: Retrieval-Augmented Knowledge Distillation For Pre-trained Language Models",
    ACL Anthology 2023.acl-short.97

    Args:
        map_fraction: share of the steps for the map, our choice.
        label_weight: weight of the gold labels.
        soft_target_weight: a; 1 is our choice.
        relation_weight: b; 1 is our choice.
        loss_temperature: T of the soft targets, as in `kd`.
        similarity_temperature: t, for the map, the relations and, without development rows, the memory; our choice.
        neighbours: k without development rows; our choice.
        own_share: beta without development rows; our choice.
    """
    contrast = WeightedTerm("map", EmbeddingMap(similarity_temperature))
    terms = (
        WeightedTerm("divergence", ForwardKL(loss_temperature), weight=soft_target_weight),
        WeightedTerm("labels", LabelCrossEntropy(), weight=label_weight),
        WeightedTerm("relations", BatchRelations(similarity_temperature), weight=relation_weight),
    )
    stages = (
        Stage("map", (contrast,), map_fraction, GivenRows("labelled"), trains="terms"),
        Stage("reaugkd", terms, 1 - map_fraction),
    )
    looked_up = Retrieval(neighbours=neighbours, temperature=similarity_temperature, own_share=own_share)
    return Recipe("ReAugKD", stages, retrieval=looked_up)
