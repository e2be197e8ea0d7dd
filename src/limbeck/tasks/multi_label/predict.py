"""Predictions of a saved multi-label classifier: the labels with a probability above 0.5."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.targets.multi_label import MultiLabel, label_matrix, load_label_sets
from limbeck.data.targets.rows import TargetRows
from limbeck.evaluation.predict import sigmoid
from limbeck.tasks.multi_label.measure import measure_label_sets
from limbeck.tasks.saved_targets import SavedTargets

__all__ = ["saved_label_sets"]


def saved_label_sets(model: str) -> SavedTargets[MultiLabel]:
    """Return the student in a folder that `limbeck distill` wrote; nothing is loaded yet."""
    return SavedTargets(model, "multi-label students", MultiLabel, _read, _answer, measure_label_sets)


def _read(data: str, task: MultiLabel, labels: list[str]) -> tuple[TargetRows[str], NDArray[np.float64]]:
    rows = load_label_sets(data, task, labels=labels, split="test")
    return rows, label_matrix(rows.targets, labels)


def _answer(logits: NDArray[np.float32], labels: list[str]) -> dict[str, Any]:
    given = [label for label, logit in zip(labels, logits, strict=True) if logit > 0]
    return {"labels": given, "probabilities": dict(zip(labels, sigmoid(logits).round(6).tolist(), strict=True))}
