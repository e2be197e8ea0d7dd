"""Which rows an API in an ensemble is asked about again between two rounds, and what it then says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.numerics.opinion_pool import pooled
from limbeck.results.sections import AskedAgain
from limbeck.tasks.classification.asked_labels import FOLDER, kept_labels, open_journal, prompt_rows
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.ensemble.config import Ensemble
from limbeck.tasks.classification.ensemble.lesson import Lesson
from limbeck.tasks.classification.ensemble.pool import Answers, Pool
from limbeck.tasks.classification.pilot import MOST_UNREADABLE, given_by
from limbeck.tasks.classification.rows import RunRows
from limbeck.tasks.classification.second_opinion import answers_per_row, second_opinion
from limbeck.teachers.chat.client import ChatTeacher
from limbeck.teachers.labels.label_probs import LabelProbs
from limbeck.types import Progress

__all__ = ["ask_again", "contested", "most_asked_again", "told_of"]

_ASKED_AGAIN, _LEFT_OUT = "asked_again", "not_asked_again"
"""Flags of rows of which a second opinion was asked, and of those that the budget left no room for."""
_OVER_BUDGET = "failed_over_budget"


def most_asked_again(ensemble: Ensemble, train_rows: int) -> int:
    """Return about how many of the training rows an API may be asked again before a round, at most."""
    return int((ensemble.ask_again or 0.0) * train_rows)


def contested(lesson: Lesson, answers: Answers, pool: Pool, given: LabelProbs, most: int) -> NDArray[np.int64]:
    """Return the training rows to ask about again, the most contested first.

    They are rows that are learned with the API's label, to which the weighted mean of the other members, out of fold,
    gives another label. What is contested most has the least probability in that mean.

    Args:
        lesson: of the round that has ended.
        answers: of all members to all rows, the API's included.
        pool: their weights.
        given: what the API has said of the training rows; those it was asked about twice are not asked again.
        most: how many rows, at most.
    """
    assert answers.labeller is not None
    others = np.delete(np.arange(len(answers.probs_MNC)), answers.labeller)
    mean_NC = pooled(answers.probs_MNC[others], answers.answered_MN[others], pool.weights_M[others])
    label_N = answers.probs_MNC[answers.labeller].argmax(axis=-1)
    open_N = (lesson.class_N >= 0) & ~lesson.gold_N & answers.answered_MN[answers.labeller]
    open_N &= mean_NC.argmax(axis=-1) != label_N
    open_N[: len(given)] &= np.array([_ASKED_AGAIN not in flags for flags in given.flags], dtype=np.bool_)
    rows = np.flatnonzero(open_N)
    order = np.argsort(mean_NC[rows, label_N[rows]], kind="stable")
    found: NDArray[np.int64] = rows[order][:most]
    return found


def ask_again(
    config: RunConfig,
    rows: RunRows,
    given: LabelProbs,
    which: NDArray[np.int64],
    *,
    number: int,
    folder: Path,
    progress: Progress,
) -> LabelProbs:
    """Ask an API for a second opinion of some training rows, within its budget; once asked, it is kept.

    Args:
        config: the run.
        rows: of the run.
        given: what it has said of the training rows so far.
        which: the rows, in the order in which they are asked about.
        number: of the round that will learn the answers.
        folder: the run folder.
        progress: shows the progress.

    Returns:
        What it says of all training rows: a second opinion has the first answers in it. A row of which the budget did
        not allow all new answers keeps the first ones.

    Raises:
        LimbeckError: the API cannot be asked, or gives too few labels.
    """
    labeller = config.teacher.asked
    assert labeller is not None

    def ask() -> LabelProbs:
        api, prompt = labeller.api, labeller.prompt
        assert api is not None
        assert prompt is not None
        texts = prompt_rows(config, rows.train.take(which.tolist()))
        requests = len(texts) * answers_per_row(api, len(rows.labels), labeller.samples)
        with (
            open_journal(config, folder) as journal,
            progress.track(f"teacher labels: {len(which)} contested rows again", requests) as update,
        ):
            return second_opinion(
                ChatTeacher(api, journal), prompt, texts, rows.labels, samples=labeller.samples,
                contextual="contextual" in labeller.calibration, most_unreadable=MOST_UNREADABLE, update=update,
            )  # fmt: skip

    def merged() -> LabelProbs:
        if not len(which):
            return given
        found = ask()
        missed = np.array([_OVER_BUDGET in flags for flags in found.flags], dtype=np.bool_)
        heard = found.take(~missed)
        heard = heard.flagged([frozenset({_ASKED_AGAIN})] * len(heard))
        left_out = set(which[missed].tolist())
        flags = [frozenset({_LEFT_OUT} if row in left_out else ()) for row in range(len(given))]
        return given.replaced(which[~missed], heard).flagged(flags)

    found = kept_labels(folder / FOLDER / f"train-round{number}", merged, progress)
    told = told_of(given, found)
    progress.log(
        f"the API was asked again about {told.rows} rows that the other members contest: {told.changed} labels "
        f"changed" + (f", and {told.left_out} rows were left out for lack of budget" if told.left_out else "")
    )
    return found


def told_of(first: LabelProbs, last: LabelProbs) -> AskedAgain:
    """Return what the report says: how many training rows an API was asked about again, and what changed."""
    return AskedAgain(
        rows=sum(_ASKED_AGAIN in flags for flags in last.flags),
        changed=int((given_by(first) != given_by(last)).sum()),
        left_out=sum(_LEFT_OUT in flags and _ASKED_AGAIN not in flags for flags in last.flags),
    )
