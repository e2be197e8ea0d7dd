"""A recipe's stages as a classifier is trained by them: where its head begins, and in which order rows come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.losses.term import needs_of
from limbeck.sequences.class_pairs import ClassPairs, ClassPairSequences
from limbeck.sequences.fixed import FixedSequences
from limbeck.stages.stage import Stage
from limbeck.tasks.classification.config import ClassifierRecipe, ClassifierTraining
from limbeck.types import Sequences

__all__ = ["given_sequences", "recipe_stages"]


def recipe_stages(named: ClassifierRecipe, model: Any, training: ClassifierTraining) -> tuple[Stage, ...]:
    """Return the stages of a recipe; the first one that trains a new head fits it before, if the run says so."""
    stages = named.build().stages
    new = training.fit_head and getattr(model, "head_is_new", False)
    if not new or any(stage.fit_head for stage in stages):
        return stages
    trains_head = [needs.labels or needs.logits for needs in (needs_of(stage.terms) for stage in stages)]
    first = trains_head.index(True) if any(trains_head) else -1
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
