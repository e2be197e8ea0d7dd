"""MiniLM: the last layer's attention and relation of values, then soft targets."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from limbeck.losses.hints.relations import AttentionRelation
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.kd import kd
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage

__all__ = ["minilm"]


def minilm(
    *,
    relation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    loss_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0,
    label_weight: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> Recipe:
    """``KL(attention) + KL(relation of values)`` of both models' last layers, head by head; then ``kd``.

    The relation of values is ``softmax(V V^T / sqrt(d))``. Student and teacher need equally many attention heads, of
    any width. In decoders a token looks at itself and earlier ones; keys and values that queries share count for each
    of them.

    The first stage reads no labels and does not train the head, so a second one, as `kd`, teaches the task. In the
    paper the first is general (400,000 steps of 1,024 texts of 512 tokens, learning rate 5e-4, from random weights or
    an assistant), and fine-tuning on labels follows (``label_weight: 1``). On a task's rows,
    which both stages read, begin with a pretrained student or the teacher's layers; plain text (``task.kind:
    masked_lm``) makes one, and the first stage then reads it without masks.

    Paper: Wang et al. 2020, "MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained
    Transformers", arXiv:2002.10957

    Args:
        relation_fraction: share of the steps for the relations, our choice.
        loss_temperature: T of the soft targets, as in `kd`.
        label_weight: weight of the gold labels in the second stage, as in `kd`; 0 reads none.
    """
    relations = (
        WeightedTerm("attention", AttentionRelation("query", "key")),
        WeightedTerm("values", AttentionRelation("value", "value")),
    )
    (task,) = kd(loss_temperature=loss_temperature, label_weight=label_weight).stages
    first = Stage("relations", relations, share=relation_fraction)
    return Recipe("MiniLM", (first, replace(task, share=1 - relation_fraction)))
