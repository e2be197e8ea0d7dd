"""The calibration temperature in a student's folder, read and fitted."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import write_json
from limbeck.data.load import Fields, load_rows
from limbeck.data.tasks import label_ids
from limbeck.errors import ConfigError, DataError, ModelError
from limbeck.evaluation.calibration import expected_calibration_error, reliability_bins
from limbeck.evaluation.predict import softmax
from limbeck.models.json_file import read_json
from limbeck.tasks.classification.predict import Predictor
from limbeck.tasks.task_file import CALIBRATION_FILE
from limbeck.teachers.labels.calibration import fit_temperature
from limbeck.teachers.labels.label_probs import LabelProbs
from limbeck.types import Progress

__all__ = ["Fitted", "calibrate", "read_temperature", "student_temperature"]

_FOLDS = 5
_HOTTEST = 1e9


class Fitted(NamedTuple):
    """A temperature, and the expected calibration error on the rows that it was fitted on, before and after."""

    temperature: float
    rows: int
    error_before: float
    error_after: float

    @property
    def notes(self) -> list[str]:
        """Caveats. The loss, which is fitted, and the error, which bins rows, can disagree."""
        if self.temperature == 1.0:
            return [
                f"Cross-validation on the {self.rows} rows (at least {_FOLDS}) found no temperature with a lower loss "
                "than the student as it is, so it stays 1. More labelled rows may change that."
            ]
        if self.error_after > self.error_before:
            return [
                "The calibration error grew, though the loss on held-out folds fell: one temperature cannot correct a "
                "student that is sure of some wrong labels and unsure of right ones, as with low accuracy, and "
                f"the error of {self.rows} rows is itself uncertain. Compare both on other labelled rows."
            ]
        return []


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
    fold_N = np.random.default_rng(0).permutation(len(labelled)) % _FOLDS
    gain = 0.0
    for fold in np.unique(fold_N) if len(labelled) >= _FOLDS else ():
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


def calibrate(model: str, data: str, *, fields: Fields | None, progress: Progress) -> Fitted:
    """Fit the temperature with the least loss on the labelled rows of `data`, and write it to the student's folder.

    Reference: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599, section 4.2.

    Args:
        model: a student's folder.
        data: rows that the student was not trained on, and is not tested on.
        fields: the fields of text and label; ``None``: as in the student's task file.
        progress: shows the progress.

    Raises:
        ConfigError: `model` is not a folder.
        DataError: the rows cannot be used, or none has a label.
        ModelError: the student cannot be loaded.
    """
    folder = Path(model)
    if not folder.is_dir():
        raise ConfigError(f"a calibration is written to the student's folder, but {model} is not a folder")
    predictor = Predictor(model)
    task = predictor.task
    named = fields or Fields(task.text, task.text_pair, task.label)
    rows = load_rows(data, named, labels=predictor.labels).rows
    gold_N = label_ids(rows, predictor.labels)
    labelled = np.flatnonzero(gold_N >= 0)
    if not len(labelled):
        raise DataError(f"{data}: no row has a label in field '{named.label}', but a temperature is fitted on labels")
    with progress.track("labelling", len(rows)) as update:
        logits_NC = predictor.logits(rows, update)[labelled]
    gold = gold_N[labelled]
    temperature = student_temperature(logits_NC, gold)
    probs_NC = softmax(logits_NC)
    after_NC = softmax(logits_NC / np.float32(temperature))
    before, after = (expected_calibration_error(reliability_bins(p, gold)) for p in (probs_NC, after_NC))
    fitted = Fitted(temperature, len(labelled), before, after)
    write_json(folder / CALIBRATION_FILE, fitted._asdict())
    return fitted
