"""A recipe's stages as a classifier is trained by them: where its head begins, in which order rows come,
and how it is judged on development rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.encode import Encoded
from limbeck.evaluation.predict import predict_logits, softmax
from limbeck.losses.term import needs_of
from limbeck.sequences.class_pairs import ClassPairs, ClassPairSequences
from limbeck.sequences.fixed import FixedSequences
from limbeck.stages.early_stopping import Judge, Judgement
from limbeck.stages.stage import Stage
from limbeck.tasks.classification.training_config import ClassifierRecipe, ClassifierTraining
from limbeck.types import Sequences

__all__ = ["dev_judge", "given_sequences", "recipe_stages"]


def recipe_stages(named: ClassifierRecipe, model: Any, training: ClassifierTraining) -> tuple[Stage, ...]:
    """Return the stages of a recipe; the first one that trains a new head fits it before, if the run says so.

    Not on random features: they hardly differ, so a head that tells them apart is huge, and training blows up.
    """
    stages = named.build().stages
    new = training.fit_head and getattr(model, "head_is_new", False) and not getattr(model, "body_is_new", False)
    if not new or any(stage.fit_head for stage in stages):
        return stages
    trains_head = [needs.labels or needs.logits for needs in (needs_of(stage.terms) for stage in stages)]
    first = trains_head.index(True) if any(trains_head) else -1
    if stages[first].pruning is not None:
        return stages  # it trains the teacher's own head
    return tuple(replace(stage, fit_head=place == first) for place, stage in enumerate(stages))


def given_sequences(
    stage: Stage,
    rows: NDArray[np.int64],
    label_N: NDArray[np.int64],
    lengths_N: NDArray[np.int64],
    *,
    batch_size: int,
    steps: int,
    seed: int,
) -> Sequences:
    """Return the batches of a stage on given rows: in random order, or in pairs of the same and of other classes.

    Args:
        stage: the stage.
        rows: row numbers to draw from.
        label_N: class of every row, indexed by row number.
        lengths_N: tokens of every row, indexed by row number.
        batch_size: rows of each optimiser step.
        steps: optimiser steps.
        seed: of the order.
    """
    if isinstance(stage.source, ClassPairs):
        return ClassPairSequences(rows, label_N, lengths_N, batch_size, steps, seed, stage.source.negatives)
    return FixedSequences(rows, lengths_N, batch_size, steps, seed)


def dev_judge(
    stage: Stage, training: ClassifierTraining, encode: Callable[[], Encoded], gold_N: NDArray[np.int64]
) -> Judge | None:
    """Return how a stage is judged on development rows: by cross-entropy with their gold labels, and accuracy.

    ``None`` if the run does not ask for it, or the stage trains no head.

    Args:
        stage: the stage.
        training: its settings.
        encode: returns the development rows as the model reads them.
        gold_N: their labels; below 0: none.
    """
    needs = needs_of(stage.terms)
    untrained = needs.features or not (needs.labels or needs.logits) or not stage.trains_student
    if training.early_stopping is None or untrained:
        return None
    encoded, known_N = encode(), np.flatnonzero(gold_N >= 0)

    by_loss = training.early_stopping.metric_for_best_model == "loss"

    def measure(model: Any) -> Judgement:
        probs_NC = softmax(predict_logits(model, encoded, known_N))
        of_gold_N = probs_NC[np.arange(len(known_N)), gold_N[known_N]]
        losses_N = -np.log(np.maximum(of_gold_N, np.finfo(np.float64).tiny))
        right_N = probs_NC.argmax(axis=-1) == gold_N[known_N]
        loss, accuracy = float(losses_N.mean()), float(right_N.mean())
        return Judgement(-loss if by_loss else accuracy, {"loss": loss, "accuracy": accuracy})

    return Judge(training.early_stopping, measure)
