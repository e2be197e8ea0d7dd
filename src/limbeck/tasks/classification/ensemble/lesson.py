"""What the members of an ensemble learn, and which rows each of them may answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import ConfigError
from limbeck.numerics.cross_fitting import NO_FOLD, stratified_folds
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.rows import RunRows
from limbeck.types import UNLABELLED, Rows

__all__ = ["Lesson", "expected_lesson", "lesson_of"]


@dataclass(frozen=True)
class Lesson:
    """The rows of a run in one list, the training rows first: what is learned of them, and in which fold they are."""

    rows: Rows
    train_rows: int
    """How many of them are training rows; the others are held out, and never learned."""
    class_N: NDArray[np.int64]
    """Label id of each row that is learned; below 0: it is not."""
    gold_N: NDArray[np.bool_]
    """Whether that is a gold label."""
    fold_N: NDArray[np.int64]
    """Fold of each row; -1: all models of a member answer it. With `refit` the rows that are not learned are one more
    fold: the model that answers it has learned all others."""
    classes: int
    agreement_N: NDArray[np.float64]
    """How much the ensemble agrees on each row's label, from 0 to 1; 1 in the first round."""

    def relabelled(self, label_N: NDArray[np.int64], agreement_N: NDArray[np.float64]) -> Lesson:
        """Return the lesson of the next round: learned rows without a gold label get new labels.

        Args:
            label_N: the ensemble's label of each row.
            agreement_N: the weight of the members that give it, of all that answered, from 0 to 1.
        """
        changed_N = (self.class_N >= 0) & ~self.gold_N
        return replace(
            self,
            class_N=np.where(changed_N, label_N, self.class_N),
            agreement_N=np.where(changed_N, agreement_N, 1.0),
        )

    @property
    def models(self) -> int:
        """How many models each member has: one for each fold."""
        return int(self.fold_N.max()) + 1

    @property
    def judged_by(self) -> Literal["gold", "teacher"]:
        """The labels that members are compared on: gold ones, or those of another model if none is gold."""
        return "gold" if self.gold_N.any() else "teacher"

    @property
    def wanted_N(self) -> NDArray[np.int64]:
        """The labels that members are compared on; below 0: none."""
        return np.where(self.gold_N, self.class_N, UNLABELLED) if self.judged_by == "gold" else self.class_N


def expected_lesson(config: RunConfig, rows: RunRows) -> Lesson:
    """Return a lesson of the right size before a model is asked: as if it gave each label equally often.

    Raises:
        ConfigError: as `lesson_of`.
    """
    if config.teacher.asked is None:
        return lesson_of(config, rows)
    return lesson_of(config, rows, np.arange(len(rows.train)) % len(rows.labels))


def lesson_of(config: RunConfig, rows: RunRows, given_N: NDArray[np.int64] | None = None) -> Lesson:
    """Return what the members learn: the gold label of a training row, or else that of the member that does not learn.

    Args:
        config: the run.
        rows: its rows.
        given_N: ids of the labels that a model gave to the training rows, if it was asked; below 0: none.

    Raises:
        ConfigError: no row is labelled, or fewer different ones than there are folds.
    """
    ensemble = config.teacher.ensemble
    assert ensemble is not None
    joined = _joined(rows.train, rows.test)
    class_N = np.full(len(joined), UNLABELLED, dtype=np.int64)
    index = {label: place for place, label in enumerate(rows.labels)}
    for row, label in enumerate(rows.train.teacher_label or []):
        class_N[row] = UNLABELLED if label is None else index[label]
    if given_N is not None:
        class_N[: len(rows.train)] = np.where(given_N >= 0, given_N, UNLABELLED)
    gold_N = np.zeros(len(joined), dtype=np.bool_)
    gold_N[: len(rows.train)] = rows.train_labels >= 0
    class_N[gold_N] = rows.train_labels[rows.train_labels >= 0]
    keys = list(zip(joined.text, joined.text_pair or joined.text, strict=True))
    different = len({keys[row] for row in np.flatnonzero(class_N >= 0).tolist()})
    if different < ensemble.folds:
        other, elsewhere = ensemble.labeller, ""
        if other is not None and other.prompt is not None:
            elsewhere = " or from the model that is asked"
        elif other is not None:
            elsewhere = f" or in field '{other.labels_from}'"
        raise ConfigError(
            f"teacher.ensemble: its members learn labelled rows in {ensemble.folds} folds, but {different} different "
            f"training rows have a label in field '{config.task.label}'{elsewhere}. Label more rows"
            + ("" if elsewhere else ", or add a member with labels_from or a prompt")
        )
    fold_N = stratified_folds(class_N, keys, ensemble.folds, seed=config.seeds[0])
    if ensemble.refit:
        fold_N[fold_N == NO_FOLD] = ensemble.folds
    return Lesson(joined, len(rows.train), class_N, gold_N, fold_N, len(rows.labels), np.ones(len(joined)))


def _joined(train: Rows, test: Rows) -> Rows:
    pairs = None if train.text_pair is None or test.text_pair is None else [*train.text_pair, *test.text_pair]
    return Rows(
        text=[*train.text, *test.text],
        text_pair=pairs,
        label=[*train.label, *test.label],
        origin=[*train.origin, *test.origin],
    )
