"""A teacher that is known by its labels alone: its probabilities of them for the rows of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import DataError
from limbeck.runs.config import RunConfig
from limbeck.runs.prepare import RunRows
from limbeck.teachers.labels.label_probs import LabelProbs, from_columns
from limbeck.teachers.stored import StoredTeacher
from limbeck.types import Rows

__all__ = ["LabelTeacher", "label_teacher_warnings", "read_label_teacher"]

_LEAST_PROBABILITY = 1e-30
"""What a label that the teacher rules out counts as, so that its logarithm is a finite float32."""


@dataclass(frozen=True)
class LabelTeacher:
    """What a teacher without weights said of the rows."""

    title: str
    """What it is, in a few words."""
    train: LabelProbs
    test: LabelProbs

    def signals(self) -> StoredTeacher:
        """Return the log-probabilities of the training rows as a teacher's logits."""
        return StoredTeacher({"logits": _log_probs(self.train)}, seconds=0.0)

    def test_logits(self) -> NDArray[np.float32] | None:
        """Return the log-probabilities of the held-out rows; ``None`` unless the teacher labelled all of them."""
        return _log_probs(self.test) if self.test.kept_N.all() else None


def read_label_teacher(config: RunConfig, rows: RunRows) -> LabelTeacher:
    """Return the teacher whose labels stand in a column of the rows.

    Raises:
        DataError: none of the training rows has a label of the teacher.
    """
    column = config.teacher.column
    assert column is not None
    train, test = (_from_rows(part, rows.labels) for part in (rows.train, rows.test))
    if not train.kept_N.any():
        raise DataError(
            f"none of the {len(rows.train)} training rows has a label of the teacher in field '{column}'. "
            "Check teacher.column, or name a teacher with a model"
        )
    return LabelTeacher(f"labels in the field '{column}'", train, test)


def label_teacher_warnings(teacher: LabelTeacher) -> list[str]:
    """Return what a reader of the figures must know about these labels."""
    found = []
    if (missing := int((~teacher.train.kept_N).sum())) > 0:
        found.append(f"{missing} training rows have no label of the teacher; nothing was distilled from them.")
    if (missing := int((~teacher.test.kept_N).sum())) > 0:
        found.append(
            f"{missing} of {len(teacher.test)} held-out rows have no label of the teacher, so it has no figures, and "
            "neither agreement with it nor the KL to it is known."
        )
    return found


def _from_rows(rows: Rows, labels: list[str]) -> LabelProbs:
    assert rows.teacher_label is not None
    return from_columns(rows.teacher_label, rows.teacher_confidence, labels)


def _log_probs(teacher: LabelProbs) -> NDArray[np.float32]:
    logs: NDArray[np.float32] = np.log(np.maximum(teacher.probs_NC, _LEAST_PROBABILITY)).astype(np.float32)
    return logs
