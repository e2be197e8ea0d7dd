"""Hidden states, then logits, then labels, for the last two of which the student is unfrozen part by part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from limbeck.errors import ConfigError
from limbeck.losses.hints.top_states import TopStates
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import LogitDistance
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import GivenRows
from limbeck.stages.stage import Stage
from limbeck.stages.unfreezing import Trained, Unfrozen

__all__ = ["xtremedistil"]

_CONSTANT: dict[str, Any] = {"schedule": "constant", "warmup_ratio": 0.0}


def xtremedistil(
    *,
    modules: Annotated[int, Field(ge=1, le=1000)] = 3,
    layers: Literal["last", "all"] = "last",
    teacher_layer: Annotated[int, Field(ge=1)] | None = None,
    every_token: bool = False,
    hidden_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None,
    label_fraction: Annotated[float, Field(ge=0, lt=1)] | None = None,
) -> Recipe:
    """``MSE(W h_S, h_T)``, then ``MSE(z_S, z_T)`` of logits, then ``CE(gold)``; one part after another is unfrozen.

    There are ``2n + 3`` stages for n modules below the head: the first trains the whole student; those on logits and
    those on labels begin with the head alone (everything after the last layer), and each further one also trains the
    next module from the top: groups of layers, at last the embeddings. Losses are never mixed. Logits and hidden
    states read all rows, labels the labelled ones. The student may be narrower than the teacher: then there is a W.

    It is the second version (xtreme-distil-transformers) in its losses: no GELU around W, and a classifier compares
    [CLS] alone. Three things differ from its code. W is dropped at the end and no part of the student. Modules are
    unfrozen from the top, as in the paper, and not in the order of a Python set, which changes from run to run. No
    weights are chosen by test rows: with ``training.early_stopping`` a stage ends with its best weights on development
    rows, and these may be those it began with, so that an unfreezing that does not help is undone. As in the code, the
    learning rate is constant and has no warm-up, whatever ``training`` says.

    The second version's reduced word embeddings are an option of the student (``word_embeddings: pca`` beside
    ``config``). Its MSE of attention after softmax, dropout before W and early stopping on unlabelled rows are left
    out, and so are the KL divergence of hidden states and the BiLSTM of the first version.

    Paper: Mukherjee and Awadallah 2020, "XtremeDistil: Multi-stage Distillation for Massive Multilingual Models", ACL,
    arXiv:2004.05686; Mukherjee, Awadallah and Gao 2021, "XtremeDistilTransformers: Task Transfer for Task-agnostic
    Distillation", arXiv:2106.04563

    Args:
        modules: n, the embeddings counted: 3 are the upper and the lower half of the layers and the embeddings; one
            more than there are layers unfreezes layer by layer. The paper has as many as its student has parts.
        layers: of hidden states: the ``last`` alone, or ``all`` of the student, paired from the top.
        teacher_layer: layer that the student's last one is compared with, from 1; default: the teacher's last, as in
            the second version. The first version's shipped command takes one from the middle.
        every_token: compare the states of all tokens also in a classifier, which needs equal tokenizers. Models of
            tags always do.
        hidden_fraction: share of the steps for the first stage; default: as much as each other stage. The paper trains
            every stage until it stops early.
        label_fraction: share for all stages on labels together; default: as much for each of them as for any other
            stage. 0: none, and no labels are read.
    """
    fixed = (hidden_fraction or 0.0) + (label_fraction or 0.0)
    if fixed >= 1:
        raise ConfigError(
            f"recipe.hidden_fraction and recipe.label_fraction add up to {fixed:g}: nothing is left for logits"
        )
    trained = _trained(modules)
    free = len(trained) * (1 + (label_fraction is None)) + (hidden_fraction is None)
    each = (1 - fixed) / free
    states = TopStates(layers == "all", teacher_layer, every_token)
    first = Stage("hidden", (WeightedTerm("hidden_states", states),), hidden_fraction or each, settings=_CONSTANT)
    logits = _unfreezing("logits", WeightedTerm("logits", LogitDistance()), each, trained, GivenRows())
    stages = [first, *logits]
    if label_fraction != 0:
        share = each if label_fraction is None else label_fraction / len(trained)
        labels = WeightedTerm("labels", LabelCrossEntropy())
        stages += _unfreezing("labels", labels, share, trained, GivenRows("labelled"))
    return Recipe("XtremeDistil", tuple(stages))


def _trained(modules: int) -> list[Trained]:
    """Return what the stages on one loss train, one after the other."""
    return ["head", *(Unfrozen(parts, modules) for parts in range(1, modules + 1))]


def _unfreezing(
    name: str, term: WeightedTerm, share: float, trained: list[Trained], source: GivenRows
) -> Iterator[Stage]:
    for number, what in enumerate(trained):
        yield Stage(f"{name}_{number or 'head'}", (term,), share, source, _CONSTANT, what)
