"""`limbeck calibrate`: the temperature of a saved student, fitted on rows or folded into the weights of a copy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import replace_folder, write_json, write_text
from limbeck.data.load import Fields, load_rows
from limbeck.data.tasks import label_ids
from limbeck.errors import ConfigError, DataError, ModelError
from limbeck.evaluation.metrics.classification import CLASSIFICATION, ClassifierOutputs
from limbeck.evaluation.metrics.measure import measure
from limbeck.models.label_scorer import LabelScorer
from limbeck.models.load import save_model
from limbeck.models.output_scale import fold_scale
from limbeck.results.figures import Interval
from limbeck.tasks.classification.predict import Predictor
from limbeck.tasks.classification.temperature import FOLDS, student_temperature
from limbeck.tasks.task_file import CALIBRATION_FILE
from limbeck.types import Origin, Progress, Rows

__all__ = ["Fitted", "calibrate", "fold"]

_CARD = "README.md"
_ROUNDING = 1e-3
"""Largest difference of logits, relative to the largest logit, between dividing in the weights and afterwards."""


class Fitted(NamedTuple):
    """A temperature, and the expected calibration error on the rows that it was fitted on, before and after."""

    temperature: float
    rows: int
    error_before: Interval
    error_after: Interval

    @property
    def notes(self) -> list[str]:
        """Caveats. The loss, which is fitted, and the error, which bins rows, can disagree."""
        if self.temperature == 1.0:
            return [
                f"Cross-validation on the {self.rows} rows (at least {FOLDS}) found no temperature with a lower loss "
                "than the student as it is, so it stays 1. More labelled rows may change that."
            ]
        if self.error_after.value > self.error_before.value:
            return [
                "The calibration error grew, though the loss on held-out folds fell: one temperature cannot correct a "
                "student that is sure of some wrong labels and unsure of right ones, as with low accuracy, and "
                f"the error of {self.rows} rows is itself uncertain. Compare both on other labelled rows."
            ]
        return []


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
    predictor = _of_folder(model)
    task = predictor.task
    named = fields or Fields(task.text, task.text_pair, task.label)
    rows = load_rows(data, named, labels=predictor.labels).rows
    gold_N = label_ids(rows, predictor.labels)
    labelled = np.flatnonzero(gold_N >= 0)
    if not len(labelled):
        raise DataError(f"{data}: no row has a label in field '{named.label}', but a temperature is fitted on labels")
    with progress.track("labelling", len(rows)) as update:
        logits_NC = predictor.logits(rows, update)[labelled]
    gold_N = gold_N[labelled]
    temperature = student_temperature(logits_NC, gold_N)
    fitted = Fitted(temperature, len(labelled), *_errors(logits_NC, gold_N, temperature))
    errors = {"error_before": fitted.error_before.model_dump(), "error_after": fitted.error_after.model_dump()}
    write_json(Path(model) / CALIBRATION_FILE, {"temperature": temperature, "rows": len(labelled), **errors})
    return fitted


def _errors(logits_NC: NDArray[np.float32], gold_N: NDArray[np.int64], by: float) -> tuple[Interval, Interval]:
    """Return the calibration error before and after, with 95 % intervals over rows."""
    outputs = {"student": {0: ClassifierOutputs(logits_NC, gold_N, None, temperature=by)}}
    found = measure(outputs, [one for one in CLASSIFICATION if one.metric.key in ("ece", "ece_before")])
    return found["student", "ece_before"].interval, found["student", "ece"].interval


def _of_folder(model: str) -> Predictor:
    if not Path(model).is_dir():
        raise ConfigError(f"a calibration is written to the student's folder, but {model} is not a folder")
    return Predictor(model)


def fold(model: str, folder: Path) -> float:
    """Write a copy of a student whose own logits are calibrated, and return the temperature they were divided by.

    Weights and bias of the last linear map are divided by it, so that transformers' ``pipeline`` gives the
    probabilities that `limbeck predict` gives for the student. The temperature of the copy is 1.

    Args:
        model: a calibrated student's folder, which is left as it is.
        folder: of the copy; must not exist.

    Raises:
        ConfigError: `model` is not a folder, or has no temperature; `folder` exists.
        ModelError: the student cannot be loaded, or its logits are not those of a linear map.
    """
    predictor = _of_folder(model)
    if folder.exists():
        raise ConfigError(f"--fold writes a new folder, but {folder} exists. Give another one, or delete it")
    if predictor.temperature is None:
        raise ConfigError(f"{model} has no {CALIBRATION_FILE}, and so no temperature to fold. Give labelled rows too")
    if predictor.model.retrieval_memory is not None:
        raise ConfigError(
            f"{model} answers with a memory of training rows, and its temperature divides the mixture: it cannot be "
            "folded into the weights. `limbeck predict` applies both"
        )
    _fold_into_weights(predictor, predictor.temperature)
    with replace_folder(folder) as part:
        shutil.copytree(model, part, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors*"))
        save_model(predictor.model, None, part)
        write_json(part / CALIBRATION_FILE, {"temperature": 1.0, "folded": predictor.temperature})
        _tell(part / _CARD, predictor.temperature)
    return predictor.temperature


def _fold_into_weights(predictor: Predictor, temperature: float) -> None:
    """Divide the last linear map, and check on a text that the logits follow. Raises `ModelError`."""
    text = Rows(["a"], ["b"] if predictor.task.text_pair else None, [None], [Origin("", 1)])
    wanted_NC = predictor.logits(text) / temperature
    if not isinstance(predictor.model, LabelScorer):  # whose logits are words' log-probabilities
        classes = len(predictor.labels)
        fold_scale(predictor.model, np.zeros(classes), np.full(classes, 1 / temperature))
    if np.abs(predictor.logits(text) - wanted_NC).max() > _ROUNDING * max(1.0, float(np.abs(wanted_NC).max())):
        raise ModelError(
            f"the logits of {predictor.model.config.name_or_path} are not those of a last linear map, so its "
            "temperature cannot be folded into the weights. `limbeck predict` applies it all the same"
        )


def _tell(card: Path, temperature: float) -> None:
    if card.exists():
        note = f"The temperature {temperature:.4g} is folded into this copy's weights: its own logits are calibrated."
        write_text(card, f"{card.read_text(encoding='utf-8').rstrip()}\n\n## Calibration of this copy\n\n{note}\n")
