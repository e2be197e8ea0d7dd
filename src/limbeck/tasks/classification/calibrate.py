"""Calibration in a run: a temperature for each trained system, fitted on rows that nothing is trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.prompts.scored import encode_for
from limbeck.data.tasks import label_ids
from limbeck.errors import DataError
from limbeck.evaluation.told_apart import told_apart
from limbeck.results.sections import Calibration
from limbeck.tasks.baselines import MAIN
from limbeck.tasks.classification.context import Context
from limbeck.tasks.classification.rows import RunRows
from limbeck.tasks.classification.temperature import student_temperature
from limbeck.tasks.kept import kept_array
from limbeck.types import Rows

__all__ = ["calibration_of", "collection_warnings", "dev_labels", "fit_on_dev_rows"]

_ANOTHER_COLLECTION = 0.7
"""Least lower bound of the area under the ROC curve: later rows of one collection can be told apart somewhat, too."""


def fit_on_dev_rows(context: Context, system: str, seed: int, model: Any, tokenizer: Any) -> None:
    """Fit the temperature of a trained system on the development rows, if the run has any.

    Its logits on them are kept, so an interrupted run reads them again.
    """
    dev = context.rows.dev
    if dev is None:
        return

    def answers() -> NDArray[np.float32]:
        encoded = encode_for(model, dev, tokenizer, context.max_length)
        return context.logits_of(f"calibrating: {system.replace('_', ' ')}", model, encoded)

    logits_NC = kept_array(context.folder, f"predictions/{system}-seed{seed}-dev.npy", answers, context.progress)
    wanted_N, _ = dev_labels(dev, context.rows.labels)
    context.temperatures.setdefault(system, {})[seed] = student_temperature(logits_NC, wanted_N)


def calibration_of(context: Context) -> Calibration | None:
    """Return the temperatures of the run, first that of the exported student; ``None`` without development rows."""
    if context.rows.dev is None:
        return None
    wanted_N, by = dev_labels(context.rows.dev, context.rows.labels)
    return Calibration(
        temperature=context.temperatures[MAIN][context.config.seeds[0]],
        rows=int((wanted_N >= 0).sum()),
        labels=by,
        systems={system: list(by_seed.values()) for system, by_seed in context.temperatures.items()},
    )


def collection_warnings(rows: RunRows) -> list[str]:
    """Return a warning if development rows are of another collection than held-out ones, as a classifier sees them."""
    if rows.dev is None:
        return []
    dev, test = ([f"{text} {pair}" for text, pair in _texts(part)] for part in (rows.dev, rows.test))
    area = told_apart(dev, test)
    if area is None or area.low <= _ANOTHER_COLLECTION:
        return []
    return [
        "The development rows seem to come from another collection of texts than the held-out rows: a classifier of "
        f"short character sequences tells them apart (area under the ROC curve {area.value:.2f}; 0.5: chance). "
        "What is chosen or fitted on them, such as the temperature, may not suit the held-out rows."
    ]


def _texts(rows: Rows) -> Iterator[tuple[str, str]]:
    return zip(rows.text, rows.text_pair or [""] * len(rows), strict=True)


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
