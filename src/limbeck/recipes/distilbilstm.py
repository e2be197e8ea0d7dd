"""DistilBiLSTM: the teacher's logits, learned from rows that need no labels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import LogitDistance
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage

__all__ = ["distilbilstm"]


def distilbilstm(*, logit_weight: Annotated[float, Field(ge=0, le=1)] = 1.0) -> Recipe:
    """``b mean_c (z_T - z_S)_c^2 + (1 - b) CE(gold)``, z the logits of classes.

    The paper's student is an LSTM (``student: {config: {model_type: limbeck_bilstm}}``), but any student will do. The
    squared distance is a mean over rows and classes, as in the released code; the paper writes a sum. With b = 1, its
    experiments' choice, no label is read. (The released configuration adds the two losses with weight 1 each, unless
    told otherwise.) Labels count where rows have them.

    The paper trains with Adadelta (learning rate 1, rho 0.95) on batches of 50 rows (MNLI and QQP in the released
    configuration: 16) for at most 30 epochs, and takes the best epoch by development rows. Here ``training.optim``
    is ``adamw`` or ``sgd``; an LSTM from random weights learns well with ``adamw`` at a learning rate of about 1e-3.
    ``early_stopping`` takes the best step by ``data.dev``.

    Left out by default: the unlabelled rows that the paper adds to the training rows, which ``limbeck augment
    --method distilbilstm`` writes, and word2vec vectors (``student.word_embeddings: pca`` begins with the teacher's)

    Paper: Tang et al. 2019, "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks",
    arXiv:1903.12136, section 3.2

    Args:
        logit_weight: b; 1 in the paper's experiments.
    """
    terms = (
        WeightedTerm("logits", LogitDistance(), weight=logit_weight),
        WeightedTerm("labels", LabelCrossEntropy(), weight=1 - logit_weight),
    )
    return Recipe("DistilBiLSTM", (Stage("distilbilstm", terms),))
