"""A black-box teacher: we only see its labels (or label probabilities) for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.data.prompts.label_prompt import check_prompt
from limbeck.errors import DataError
from limbeck.results.record import StageCost
from limbeck.results.sections import Ensemble
from limbeck.tasks.classification.asked_labels import PromptedModel, asked_labels, prompt_fields
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.pilot import ONE_ANSWER, Worth, given_by, worth_of
from limbeck.tasks.classification.rows import RunRows
from limbeck.teachers.labels.asked import CACHED_SAMPLES
from limbeck.teachers.labels.label_probs import LabelProbs, from_columns
from limbeck.teachers.language_model import TeacherStates
from limbeck.teachers.stored import StoredTeacher
from limbeck.types import Progress, Rows

__all__ = [
    "LabelTeacher",
    "label_teacher_warnings",
    "labels_in_column",
    "make_label_teacher",
    "unasked_teacher",
    "worth_of_labels",
]

_LEAST_PROBABILITY = 1e-30
"""Probability of a label that the teacher rules out, so that its logarithm is a finite float32."""


@dataclass(frozen=True)
class LabelTeacher:
    """The answers of a teacher without weights for the rows."""

    title: str
    """A description of the teacher in a few words."""
    train: LabelProbs
    test: LabelProbs
    states: TeacherStates | None = None
    """Its hidden states, if a recipe reads them."""
    ensemble: Ensemble | None = None
    """Its members, if it is an ensemble."""
    costs: Mapping[str, StageCost] = field(default_factory=dict)
    """What they cost, by their places in the run folder."""

    def signals(self) -> StoredTeacher:
        """Return the log-probabilities of the training rows as a teacher's logits, and its hidden states if any."""
        return StoredTeacher({"logits": _log_probs(self.train)}, seconds=0.0, states=self.states)

    def test_logits(self) -> NDArray[np.float32] | None:
        """Return the log-probabilities of the held-out rows; ``None`` unless the teacher labelled all of them."""
        return _log_probs(self.test) if self.test.kept_N.all() else None


def make_label_teacher(
    config: RunConfig, rows: RunRows, folder: Path, progress: Progress, loaded: PromptedModel | None = None
) -> LabelTeacher:
    """Read or ask for the teacher's labels of all rows; labels in `folder` are not asked for again.

    Args:
        config: the run.
        rows: the rows to label.
        folder: the run folder.
        progress: shows the progress.
        loaded: the causal teacher, if it is already loaded.

    Raises:
        LimbeckError: the labels cannot be read, or the teacher cannot be asked or gives too few.
    """
    if config.teacher.labels_from is not None:
        return labels_in_column(config.teacher.labels_from, rows)
    labeller = config.teacher.asked
    assert labeller is not None
    assert labeller.prompt is not None
    given = asked_labels(config, rows, folder, progress, loaded).settled(labeller, rows.train_labels)
    how = f"asked with the prompt {labeller.prompt.hash[:12]}"
    return LabelTeacher(f"{labeller.asked_title}, {how}", *given)


def worth_of_labels(teacher: LabelTeacher, rows: RunRows) -> Worth | None:
    """Compare the teacher's labels of all labelled rows with the most frequent one; ``None``: too few are labelled."""
    given_N = np.concatenate([given_by(teacher.train), given_by(teacher.test)])
    return worth_of(given_N, np.concatenate([rows.train_labels, rows.test_labels]), rows.labels)


def unasked_teacher(config: RunConfig, rows: RunRows) -> LabelTeacher:
    """Return a teacher that has no answers yet: all labels equally likely. For checks before a run.

    Raises:
        ConfigError: its prompt does not fit the rows.
    """
    labeller = config.teacher.asked
    if labeller is not None and labeller.prompt is not None:
        check_prompt(labeller.prompt, rows.labels, prompt_fields(config))
    train, test = (
        LabelProbs(even, even, np.ones(len(part), dtype=np.bool_), (frozenset(),) * len(part), "local")
        for part in (rows.train, rows.test)
        for even in [np.full((len(part), len(rows.labels)), 1 / len(rows.labels))]
    )
    return LabelTeacher("not asked yet", train, test)


def label_teacher_warnings(teacher: LabelTeacher, labels: Sequence[str]) -> list[str]:
    """Return warnings about the teacher's labels for readers of the figures; `labels` are the task's."""
    found = []
    given = np.bincount(teacher.train.probs_NC[teacher.train.kept_N].argmax(axis=-1), minlength=len(labels))
    if never := [f"'{labels[c]}'" for c in np.flatnonzero(given == 0).tolist()]:
        found.append(
            f"The teacher gives none of {given.sum()} training rows the label {' or '.join(never)}, so the student "
            "hardly learns to give it."
        )
    if (missing := int((~teacher.train.kept_N).sum())) > 0:
        found.append(f"{missing} training rows have no label from the teacher; nothing was distilled from them.")
    if (missing := int((~teacher.test.kept_N).sum())) > 0:
        found.append(
            f"{missing} of {len(teacher.test)} held-out rows have no label from the teacher, so it has no figures; "
            "agreement with it and the KL to it are unknown."
        )
    if any(CACHED_SAMPLES in flags for flags in (*teacher.train.flags, *teacher.test.flags)):
        found.append(ONE_ANSWER)
    return found


def labels_in_column(column: str, rows: RunRows) -> LabelTeacher:
    """Return the labels that a model left in the rows. Raises `DataError` if no training row has one."""
    train, test = (_from_rows(part, rows.labels) for part in (rows.train, rows.test))
    if not train.kept_N.any():
        raise DataError(
            f"none of the {len(rows.train)} training rows has a label from the teacher in field '{column}'. "
            "Check teacher.labels_from, or give a teacher with a model"
        )
    return LabelTeacher(f"labels in the field '{column}'", train, test)


def _from_rows(rows: Rows, labels: list[str]) -> LabelProbs:
    assert rows.teacher_label is not None
    return from_columns(rows.teacher_label, rows.teacher_confidence, labels)


def _log_probs(teacher: LabelProbs) -> NDArray[np.float32]:
    logs: NDArray[np.float32] = np.log(np.maximum(teacher.probs_NC, _LEAST_PROBABILITY)).astype(np.float32)
    return logs
