"""Embeddings, hidden states and attention of the teacher, layer by layer; then its soft targets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from limbeck.errors import ConfigError
from limbeck.losses.hints.attention import AttentionMSE
from limbeck.losses.hints.hidden import HiddenStates
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage

__all__ = ["tinybert"]

_Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def tinybert(
    *,
    intermediate_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.77,
    hidden_weight: _Weight = 1.0,
    attention_weight: _Weight = 1.0,
    layer_map: Literal["uniform", "cka"] = "uniform",
    embedding_map: Literal["shared", "own"] = "shared",
    loss_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0,
    label_weight: _Weight = 0.0,
    regression_target: Literal["gold", "teacher"] = "gold",
) -> Recipe:
    """First ``MSE(E_S W, E_T) + sum_m MSE(H_S W, H_T) + sum_m MSE(A_S, A_T)``, then ``KL(teacher_T || student_T)``.

    E are embeddings, H hidden states and A attention scores before softmax; layer m of M is compared with teacher
    layer ``m N / M``. The student may be narrower, but needs as many attention heads. The KL divergence has the
    gradient of the paper's cross-entropy and is 0 where both agree; there is no factor ``T^2``. W has a bias and
    starts as the identity. As in the released code, the first stage has a constant learning rate and no warm-up,
    the second a linear decay after 10 % of warm-up, whatever ``training`` says.

    Left out by default: general distillation, the first stage on plain text with a teacher that is not fine-tuned,
    which is a run of its own (``task.kind: masked_lm``), and the augmented rows of the task, which ``limbeck
    augment`` writes

    Paper: Jiao et al. 2020, "TinyBERT: Distilling BERT for Natural Language Understanding", Findings of EMNLP,
    arXiv:1909.10351, equations 7 to 11

    Args:
        intermediate_fraction: share of the steps for the first stage; 0.77 is 10 of 13 epochs, the least that the
            released code's instructions have for most tasks; 20 of 23 are 0.87.
        hidden_weight: weight of embeddings and hidden states.
        attention_weight: weight of the attention scores; with 0, the numbers of heads may differ.
        layer_map: ``uniform``: layer m with ``m N / M``; ``cka``: with the one that is most like it on the rows of the
            run, which the paper does not have and only a pretrained student has.
        embedding_map: ``shared``: one W for embeddings and all layers, as in the released code; ``own``: another for
            the embeddings, as in the paper.
        loss_temperature: T of the soft targets.
        label_weight: weight of gold labels in the second stage; the paper has none.
        regression_target: what a regression model learns in the second stage: the ``gold`` values, as in the released
            code, or the ``teacher``'s, which need none.
    """
    if not hidden_weight and not attention_weight:
        raise ConfigError(
            "recipe.hidden_weight and recipe.attention_weight are both 0: nothing is left of the first stage. Use kd, "
            "which has the second alone"
        )
    hidden = HiddenStates(
        layer_map,
        over_layers="sum",
        projected=True,
        bias=True,
        embeddings=True,
        own_embedding_map=embedding_map == "own",
    )
    intermediate = (
        WeightedTerm("hidden_states", hidden, weight=hidden_weight),
        WeightedTerm("attention", AttentionMSE(layer_map), weight=attention_weight),
    )
    # The term has a factor T^2.
    soft = WeightedTerm("soft_targets", ForwardKL(loss_temperature, regression_target), weight=loss_temperature**-2)
    prediction = (soft, WeightedTerm("labels", LabelCrossEntropy(), weight=label_weight))
    stages = (
        Stage("intermediate", intermediate, intermediate_fraction,
              settings={"schedule": "constant", "warmup_ratio": 0.0}),
        Stage("prediction", prediction, 1 - intermediate_fraction,
              settings={"schedule": "linear", "warmup_ratio": 0.1}),
    )  # fmt: skip
    return Recipe("TinyBERT", stages)
