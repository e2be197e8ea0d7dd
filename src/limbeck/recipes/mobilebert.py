"""Knowledge transfer layer by layer from the bottom, then distillation of the whole model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limbeck.losses.hints.feature_map import FeatureMap
from limbeck.losses.hints.relations import AttentionRelation
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage
from limbeck.stages.unfreezing import OneLayer

__all__ = ["mobilebert"]

_Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def mobilebert(
    *,
    layers: Annotated[int, Field(ge=1, le=1000)] = 24,
    transfer_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.324,
    states_weight: _Weight = 100.0,
    means_weight: _Weight = 5000.0,
    variances_weight: _Weight = 5.0,
    attention_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0,
    label_weight: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> Recipe:
    """Layer by layer ``100 MSE(LN h_S, LN h_T) + 5000 (mean_S - mean_T)^2 + 5 |var_S - var_T| + KL(A_T || A_S)``; then
    ``a CE(gold) + (1 - a) KL(teacher || student)`` of the whole model.

    h are a layer's outputs, mean and var those of their components, LN a layer norm without gain and bias, A attention
    probabilities of each head and query; the sum is divided by the number of layers. Each layer, from the bottom, has
    a stage that trains it alone: embeddings, other layers and the head keep their weights. It learns from the
    teacher's layer of the same number, so both models have equally many, of one width and with equally many heads. On
    plain text (``task.kind: masked_lm``) gold are the masked tokens, and the last stage's losses are means over masks;
    on a task's own rows that stage is `kd` at T = 1.

    The paper's student is ``student: {config: {model_type: mobilebert}, word_embeddings: teacher}``: 24 layers, 512
    wide between layers and 128 inside. Its teacher, IB-BERT, is 512 and 1024 wide: a `mobilebert` with
    ``intra_bottleneck_size: 1024, intermediate_size: 4096, num_feedforward_networks: 1, use_bottleneck_attention:
    true, key_query_shared_bottleneck: false, normalization_type: layer_norm, hidden_act: gelu``. Any other pair of one
    depth, width and number of heads will do.

    As in the released code, no stage has dropout, and a layer's own stage has 3 times the run's learning rate, with a
    warm-up in its first tenth. Four things differ. Mean and variance are those of the layer alone, not of all teacher
    layers together, which pulls every layer of the student towards their average. Padding is left out. The KL
    divergence has the gradient of the code's cross-entropy and is 0 where both agree; each row counts once in it. And
    lower layers are frozen, for which the paper has a small learning rate: in the code, 0.3 times the run's after a
    layer's own stage, in which it falls from 3 to 2.7 times.

    Left out by default: next-sentence prediction, which is not distilled; masks in the stages of layers, whose texts
    are read without any; LAMB, with batches of 2048 rows and a learning rate of 0.0015

    Paper: Sun et al. 2020, "MobileBERT: a Compact Task-Agnostic BERT for Resource-Limited Devices", ACL,
    arXiv:2004.02984, sections 3.2 to 3.4

    Args:
        layers: L, the number of layers of both models, and of the stages before the last.
        transfer_fraction: share of the steps for all layers together, 240,000 of 740,000 in the released code.
        states_weight: weight of the normalised states; here and below, those of the released code.
        means_weight: weight of the squared difference of means.
        variances_weight: weight of the difference of variances.
        attention_weight: weight of the attention; with 0, the numbers of heads may differ.
        label_weight: a; 0 needs no labels.
    """

    def stage(layer: int) -> Stage:
        relation = AttentionRelation("query", "key", teacher_layer=layer, student_layer=layer)
        terms = (
            WeightedTerm("states", FeatureMap("states", layer, layers), weight=states_weight / layers),
            WeightedTerm("means", FeatureMap("means", layer, layers), weight=means_weight / layers),
            WeightedTerm("variances", FeatureMap("variances", layer, layers), weight=variances_weight / layers),
            WeightedTerm("attention", relation, weight=attention_weight / layers),
        )
        settings = {"schedule": "constant", "warmup_ratio": 0.1, "dropout": 0.0}
        share = transfer_fraction / layers
        return Stage(f"layer_{layer}", terms, share, settings=settings, rate_factor=3.0, trains=OneLayer(layer))

    prediction = (
        WeightedTerm("soft_targets", ForwardKL(loss_temperature=1.0), weight=1 - label_weight),
        WeightedTerm("labels", LabelCrossEntropy(), weight=label_weight),
    )
    last = Stage("distillation", prediction, 1 - transfer_fraction, settings={"dropout": 0.0})
    return Recipe("MobileBERT", (*map(stage, range(1, layers + 1)), last))
