"""Predictions of a saved regression model on new texts, in the units of its training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.targets.regression import Regression, load_values, value_matrix
from limbeck.data.targets.rows import TargetRows
from limbeck.tasks.regression.measure import measure_regression
from limbeck.tasks.saved_targets import SavedTargets

__all__ = ["saved_regressor"]


def saved_regressor(model: str) -> SavedTargets[Regression]:
    """Return the student in a folder that `limbeck distill` wrote; nothing is loaded yet."""
    return SavedTargets(model, "regression students", Regression, _read, _answer, measure_regression)


def _read(data: str, task: Regression, names: list[str]) -> tuple[TargetRows[float], NDArray[np.float64]]:
    rows = load_values(data, task, split="test")
    return rows, value_matrix(rows.targets, task.names)


def _answer(values: NDArray[np.float32], names: list[str]) -> dict[str, Any]:
    return dict(zip(names, values.tolist(), strict=True))
