"""MiniLMv2: relations among queries, keys and values, with their own number of heads, then soft targets."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from limbeck.losses.hints.relations import AttentionRelation, Vectors
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.kd import kd
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage

__all__ = ["minilm_v2"]

_RELATIONS: dict[str, Vectors] = {"queries": "query", "keys": "key", "values": "value"}


def minilm_v2(
    *,
    relation_heads: Annotated[int, Field(ge=1)] | None = None,
    teacher_layer: Annotated[int, Field(ge=1)] | None = None,
    relation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    loss_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0,
    label_weight: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> Recipe:
    """``sum_X KL(R(X_T) || R(X_S))``, ``R(X) = softmax(X X^T / sqrt(d))``, X queries, keys and values; then ``kd``.

    The vectors of all heads are joined and split into `relation_heads`, so any two models fit whose widths that number
    divides, also if queries share keys and values. In decoders a token looks at itself and earlier ones. The student's
    layer is its last. The weights are 1, as in a released implementation (bloomberg/minilmv2.bb); the paper's are 1/3,
    a third of this loss.

    The first stage reads no labels and does not train the head, so a second one, as `kd`, teaches the task. In the
    paper the first is general (400,000 steps of 256 texts on each device, learning rate 6e-4, from random weights),
    and fine-tuning on labels follows (``label_weight: 1``). On a task's rows, which both stages read, begin with a
    pretrained student or the teacher's layers; plain text (``task.kind: masked_lm``) makes one, and the first stage
    then reads it without masks.

    Paper: Wang et al. 2021, "MiniLMv2: Multi-Head Self-Attention Relation Distillation for Compressing Pretrained
    Transformers", arXiv:2012.15828

    Args:
        relation_heads: number of heads of the relations; default: the largest up to 48, the paper's for base models
            (64 for large ones), that divides all widths and leaves heads at least 8 wide. The cost grows with it.
        teacher_layer: the teacher's layer, counted from 1; default: the last, the paper's for base models. For large
            ones the paper has an upper middle one: 21 of 24 of BERT, 19 of 24 of RoBERTa.
        relation_fraction: share of the steps for the relations, our choice.
        loss_temperature: T of the soft targets, as in `kd`.
        label_weight: weight of the gold labels in the second stage, as in `kd`; 0 reads none.
    """
    heads: int | Literal["auto"] = "auto" if relation_heads is None else relation_heads
    relations = tuple(
        WeightedTerm(name, AttentionRelation(vectors, vectors, heads, teacher_layer))
        for name, vectors in _RELATIONS.items()
    )
    (task,) = kd(loss_temperature=loss_temperature, label_weight=label_weight).stages
    first = Stage("relations", relations, share=relation_fraction)
    return Recipe("MiniLMv2", (first, replace(task, share=1 - relation_fraction)))
