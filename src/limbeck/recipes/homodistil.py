"""A student that begins as its teacher and loses units while it learns, so that it never leaves it far behind."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limbeck.errors import ConfigError
from limbeck.losses.hints.attention import AttentionMSE
from limbeck.losses.hints.hidden import HiddenStates
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage
from limbeck.students.pruning.schedule import Pruning

__all__ = ["homodistil"]

_Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1)]


def homodistil(
    *,
    pruning_begins: _Share = 0.0,
    pruning_ends: _Share = 0.6,
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.85,
    soft_target_weight: _Weight = 1.0,
    hidden_weight: _Weight = 1.0,
    attention_weight: _Weight = 1.0,
    label_weight: _Weight = 1.0,
) -> Recipe:
    """``CE(gold) + KL(teacher || student) + sum MSE(H_S W, H_T) + sum MSE(A_S, A_T)``, while the student is pruned.

    H are embeddings and hidden states, A attention scores before softmax; layer m of M is compared with teacher layer
    ``m N / M``. The student begins as the teacher's layers, so that all terms but labels are 0. After each step, the
    units with the lowest ``|sum W * dL/dW|``, averaged over steps, are masked: hidden units for the whole model, heads
    and neurons in each layer. Of each, ``r(t) = r_f + (1 - r_f) (1 - (t - t_i) / (t_f - t_i))^3`` are left between t_i
    and t_f, the shares of steps at which pruning begins and ends, and then r_f: the widths in ``student.pruned`` of
    the run file, which this recipe needs. The remaining steps let the student recover; then what is masked is removed.
    W is one linear map that starts as the identity; attention scores of removed heads count as 0. In masked language
    modelling the labels are the masked tokens, as in the paper.

    There is no released code, and the paper's weights and smoothing could not be checked: weights are 1, and the other
    defaults are choices of limbeck. The paper removes columns of every matrix on their own; here they are removed as
    units, so that the student is an ordinary model.

    Paper: Liang et al. 2023, "HomoDistil: Homotopic Task-Agnostic Distillation of Pre-trained Transformers", ICLR,
    arXiv:2302.09632, section 3

    Args:
        pruning_begins: t_i, as a share of the steps.
        pruning_ends: t_f, as a share of the steps; 0.5 to 0.7 leave time to recover.
        smoothing: weight of the earlier scores in the moving average.
        soft_target_weight: weight of the KL divergence, at temperature 1.
        hidden_weight: weight of hidden states and embeddings.
        attention_weight: weight of the attention scores before softmax.
        label_weight: weight of the gold labels (for texts: the tokens in the rows); with 0 none are read.
    """
    if pruning_begins >= pruning_ends:
        raise ConfigError(
            f"recipe.pruning_ends is {pruning_ends:g}, which is not after recipe.pruning_begins ({pruning_begins:g}): "
            "pruning in one step is student.pruned with another recipe (minima)"
        )
    hidden = HiddenStates(over_layers="sum", projected=True, embeddings=True)
    terms = (
        WeightedTerm("labels", LabelCrossEntropy(), weight=label_weight),
        WeightedTerm("soft_targets", ForwardKL(1.0), weight=soft_target_weight),
        WeightedTerm("hidden_states", hidden, weight=hidden_weight),
        WeightedTerm("attention", AttentionMSE(), weight=attention_weight),
    )
    pruning = Pruning(pruning_begins, pruning_ends, smoothing)
    return Recipe("HomoDistil", (Stage("homodistil", terms, pruning=pruning),))
