"""Calibration of a student: one temperature, fitted on rows it has not seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limbeck.data.prompts.scored import encode_for
from limbeck.data.tasks import label_ids
from limbeck.errors import DataError
from limbeck.evaluation.predict import predict_logits
from limbeck.results.sections import Calibration
from limbeck.tasks.classification.context import Context
from limbeck.tasks.classification.temperature import student_temperature
from limbeck.types import Rows

__all__ = ["calibrate_student", "dev_labels"]


def calibrate_student(context: Context) -> Calibration | None:
    """Fit the temperature of the context's student on ``data.dev``; ``None`` if the run has none."""
    if context.rows.dev is None or context.config.data.dev is None:
        return None
    wanted, by = dev_labels(context.rows.dev, context.rows.labels)
    encoded = encode_for(context.student, context.rows.dev, context.tokenizer, context.max_length)
    temperature = student_temperature(predict_logits(context.student, encoded), wanted)
    return Calibration(temperature=temperature, rows=int((wanted >= 0).sum()), labels=by)


def dev_labels(rows: Rows, labels: list[str]) -> tuple[NDArray[np.int64], str]:
    """Return the labels to calibrate on: gold labels, or the teacher's if there are none.

    Raises:
        DataError: no row has either label.
    """
    gold = label_ids(rows, labels)
    if (gold >= 0).any():
        return gold, "gold"
    index = {label: i for i, label in enumerate(labels)}
    given = np.array([index[said] if said is not None else -1 for said in rows.teacher_label or []], dtype=np.int64)
    if not (given >= 0).any():
        raise DataError(
            f"none of the {len(rows)} rows of data.dev has a label, so the student's confidence cannot be fitted on "
            "them. Label some of them, or leave data.dev out"
        )
    return given, "teacher"
