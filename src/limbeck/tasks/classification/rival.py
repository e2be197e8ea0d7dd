"""Is a teacher better than a bag of words? Asked before anything is trained, of a teacher that can be judged then."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.formatting import share_text
from limbeck.models.bag_of_words import fit_bag_of_words
from limbeck.numerics.cross_fitting import learned_rows, stratified_folds
from limbeck.numerics.logistic_regression import one_hot
from limbeck.tasks.classification.rows import RunRows
from limbeck.types import Rows

__all__ = ["Rival", "bag_of_words_rival"]

_FOLDS = 3
_LEAST_ROWS, _MOST_ROWS = 20, 1_000
"""Labelled rows to learn: fewer tell nothing, and more would keep people waiting."""


class Rival(NamedTuple):
    """The shares of rows that teacher and bag of words get right."""

    teacher: float
    bag_of_words: float
    rows: int
    learned: int
    """Labelled training rows that the bag of words learned."""
    held_out: bool
    """Whether the rows are held-out ones; else training rows, each answered by a model that did not learn it."""

    @property
    def is_beaten(self) -> bool:
        """Whether the teacher is right more often."""
        return self.teacher > self.bag_of_words

    def __str__(self) -> str:
        part = "held-out" if self.held_out else "training"
        how = "" if self.held_out else " by cross-validation"
        return (
            f"right on {share_text(self.teacher)} of {self.rows} labelled {part} rows; a bag of words (TF-IDF + "
            f"logistic regression) that learns {self.learned} labelled rows on {share_text(self.bag_of_words)}{how}"
        )


def bag_of_words_rival(
    rows: RunRows, given_train_N: NDArray[np.int64], given_test_N: NDArray[np.int64]
) -> Rival | None:
    """Compare a teacher with a bag of words that learned labelled training rows; ``None`` if there are too few.

    Compared are the labelled held-out rows that the teacher answered; without such, the labelled training rows, by
    cross-validation.

    Args:
        rows: of the run.
        given_train_N: the teacher's label ids of the training rows; negative: none.
        given_test_N: those of the held-out rows.
    """
    labelled = np.flatnonzero(rows.train_labels >= 0)
    if len(labelled) > _MOST_ROWS:
        labelled = np.sort(np.random.default_rng(0).permutation(labelled)[:_MOST_ROWS])
    if len(labelled) < _LEAST_ROWS or len(np.unique(rows.train_labels[labelled])) < 2:
        return None
    judged = np.flatnonzero((rows.test_labels >= 0) & (given_test_N >= 0))
    held_out = len(judged) > 0
    if held_out:
        gold_N, teacher_N = rows.test_labels[judged], given_test_N[judged]
        answers_N = _answers(rows, labelled, rows.test.take(judged.tolist()))
    else:
        judged = labelled[given_train_N[labelled] >= 0]
        if not len(judged):
            return None
        gold_N, teacher_N = rows.train_labels[judged], given_train_N[judged]
        answers_N = _cross_validated(rows, labelled)[np.searchsorted(labelled, judged)]
    right = float((teacher_N == gold_N).mean()), float((answers_N == gold_N).mean())
    return Rival(*right, rows=len(judged), learned=len(labelled), held_out=held_out)


def _answers(rows: RunRows, learned: NDArray[np.int64], texts: Rows) -> NDArray[np.int64]:
    train = rows.train.take(learned.tolist())
    targets = one_hot(rows.train_labels[learned], len(rows.labels))
    model = fit_bag_of_words(train.text, train.text_pair, targets)
    return np.asarray(model.probs(texts.text, texts.text_pair).argmax(axis=-1))


def _cross_validated(rows: RunRows, labelled: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the label of each labelled row by a model that learned neither it nor a copy of it."""
    part, class_N = rows.train.take(labelled.tolist()), rows.train_labels[labelled]
    fold_N = stratified_folds(class_N, list(zip(part.text, part.text_pair or part.text, strict=True)), _FOLDS)
    answers_N = np.zeros(len(labelled), dtype=np.int64)
    for fold in range(_FOLDS):
        answered = np.flatnonzero(fold_N == fold)
        learned = labelled[learned_rows(class_N, fold_N, fold)]
        answers_N[answered] = _answers(rows, learned, part.take(answered.tolist()))
    return answers_N
