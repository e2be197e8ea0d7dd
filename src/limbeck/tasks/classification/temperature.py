"""A classifier's temperature: read from its folder, and fitted on its logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import ModelError
from limbeck.evaluation.predict import softmax
from limbeck.models.json_file import read_json
from limbeck.tasks.task_file import CALIBRATION_FILE
from limbeck.teachers.labels.calibration import fit_temperature
from limbeck.teachers.labels.label_probs import LabelProbs

__all__ = ["FOLDS", "read_temperature", "student_temperature"]

FOLDS = 5
_HOTTEST = 1e9


def read_temperature(folder: Path) -> float | None:
    """Return the temperature that a student's logits are divided by; ``None`` without calibration.

    Raises:
        ModelError: the file is damaged.
    """
    path = folder / CALIBRATION_FILE
    if not path.exists():
        return None
    temperature = read_json(path, "Calibrate the student again").get("temperature")
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 < temperature < _HOTTEST:
        raise ModelError(f"{path}: expected a temperature above 0, got {temperature!r}. Calibrate the student again")
    return float(temperature)


def student_temperature(logits_NC: NDArray[np.float32], wanted_N: NDArray[np.int64]) -> float:
    """Return the temperature with the least loss of a student's logits on the labels `wanted_N` (-1: none).

    It is 1 if temperatures fitted on four fifths of the rows do not lower the loss on the remaining fifths.
    """
    labelled = np.flatnonzero(wanted_N >= 0)
    logits_NC, wanted_N = logits_NC[labelled], wanted_N[labelled]
    fold_N = np.random.default_rng(0).permutation(len(labelled)) % FOLDS
    gain = 0.0
    for fold in np.unique(fold_N) if len(labelled) >= FOLDS else ():
        out_N = fold_N == fold
        temperature = _least_loss(logits_NC[~out_N], wanted_N[~out_N])
        gain += _loss(logits_NC[out_N], wanted_N[out_N]) - _loss(logits_NC[out_N] / temperature, wanted_N[out_N])
    return _least_loss(logits_NC, wanted_N) if gain > 0 else 1.0


def _least_loss(logits_NC: NDArray[np.float32], wanted_N: NDArray[np.int64]) -> float:
    probs_NC, rows = softmax(logits_NC), len(logits_NC)
    scored = LabelProbs(probs_NC, probs_NC, np.ones(rows, dtype=np.bool_), (frozenset(),) * rows, "local")
    return fit_temperature(scored, wanted_N)


def _loss(logits_NC: NDArray[np.float32], wanted_N: NDArray[np.int64]) -> float:
    probs_N = softmax(logits_NC)[np.arange(len(wanted_N)), wanted_N]
    return float(-np.log(np.maximum(probs_N, np.finfo(np.float64).tiny)).sum())
