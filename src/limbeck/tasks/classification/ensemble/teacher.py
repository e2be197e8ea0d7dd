"""The ensemble as a teacher: its members' cross-fitted answers, and their weighted mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.numerics.cross_fitting import cross_fitted
from limbeck.results.record import StageCost
from limbeck.results.sections import Ensemble, EnsembleMember
from limbeck.tasks.classification.asked_labels import AskedLabels, asked_labels
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.ensemble.ask_again import ask_again, contested, most_asked_again, told_of
from limbeck.tasks.classification.ensemble.config import Member
from limbeck.tasks.classification.ensemble.lesson import Lesson, lesson_of
from limbeck.tasks.classification.ensemble.members import FOLDER, Work, answers_of, forget_features, member_title
from limbeck.tasks.classification.ensemble.pool import Answers, Pool, fit_pool
from limbeck.tasks.classification.label_teacher import LabelTeacher
from limbeck.tasks.classification.pilot import given_by
from limbeck.tasks.classification.rows import RunRows
from limbeck.teachers.labels.label_probs import LabelProbs, from_columns, joined
from limbeck.types import Progress

__all__ = ["make_ensemble_teacher"]


def make_ensemble_teacher(config: RunConfig, rows: RunRows, folder: Path, progress: Progress) -> LabelTeacher:
    """Train the members, each on all folds but one in turn, and return their weighted mean for all rows.

    Answers in `folder` are not computed or asked for again, and a member's model of a fold that was interrupted is
    finished.

    Raises:
        ConfigError: too few rows are labelled.
        ModelError: a member cannot be loaded.
        TeacherError: a member cannot be asked, or is not worth it in a pilot.
        NonFiniteLoss: a member's training diverged.
    """
    ensemble, said = config.teacher.ensemble, _first_labels(config, rows, folder, progress)
    assert ensemble is not None
    lesson = lesson_of(config, rows, None if said is None else said.given_N)
    work = Work(config, rows.labels, lesson, folder, progress)
    answers, costs = _ask(work, rows, said)
    # Labels of a fold reach its models of later rounds through those of other folds, so these would look too good.
    pool = fit_pool(answers, lesson.wanted_N, gold=lesson.judged_by == "gold")
    first, most = said, most_asked_again(ensemble, len(rows.train))
    for number in range(2, ensemble.rounds + 1):
        if said is not None and most:
            said = said.again(work, rows, contested(work.lesson, answers, pool, said.given.train, most), number)
            answers = answers.with_labels(said.labels)
        label_N = pool.probs(answers).probs_NC.argmax(axis=-1)
        relabelled = work.lesson.relabelled(label_N, pool.agreement(answers, label_N))
        work = replace(work, lesson=relabelled, round=number)
        answers, more = _ask(work, rows, said)
        costs |= more
    for place in range(len(ensemble.members)):
        forget_features(work, place)
    scored = pool.probs(answers)
    if said is not None:
        scored = scored.flagged(said.labels.flags)
    train, test = scored.take(slice(lesson.train_rows)), scored.take(slice(lesson.train_rows, None))
    told = _told(config, rows, lesson, answers, pool, costs)
    told = told.model_copy(
        update={
            "relabelled_rows": int((work.lesson.class_N != lesson.class_N).sum()),
            "asked_again": told_of(first.given.train, said.given.train) if first and said and most else None,
        }
    )
    members = ", ".join(f"{one.title} ({one.weight:.2f})" for one in told.members)
    progress.log(f"teacher: the weighted mean of {members}")
    title = f"cross-fitted ensemble of {len(told.members)} member{'s' if len(told.members) > 1 else ''}"
    return LabelTeacher(title, train, test, costs=costs, ensemble=told)


@dataclass(frozen=True)
class _Said:
    """The labels of a model that was asked."""

    given: AskedLabels
    """As it gave them."""
    labels: LabelProbs
    """Those to learn and to pool, of all rows, the training rows first."""

    @classmethod
    def of(cls, config: RunConfig, rows: RunRows, given: AskedLabels) -> _Said:
        labeller = config.teacher.asked
        assert labeller is not None
        return cls(given, joined(*given.settled(labeller, rows.train_labels)))

    @property
    def given_N(self) -> NDArray[np.int64]:
        """The label of each training row; -1: none."""
        return given_by(self.labels)[: len(self.given.train)]

    def again(self, work: Work, rows: RunRows, which: NDArray[np.int64], number: int) -> _Said:
        """Return the labels after a second opinion of some training rows, before a round with this number."""
        train = ask_again(
            work.config, rows, self.given.train, which, number=number, folder=work.folder, progress=work.progress
        )
        return self.of(work.config, rows, AskedLabels(train, self.given.test))


def _first_labels(config: RunConfig, rows: RunRows, folder: Path, progress: Progress) -> _Said | None:
    """Ask the member with a prompt about all rows; ``None``: there is none."""
    if config.teacher.asked is None:
        return None
    return _Said.of(config, rows, asked_labels(config, rows, folder, progress))


def _ask(work: Work, rows: RunRows, said: _Said | None) -> tuple[Answers, dict[str, StageCost]]:
    """Return the cross-fitted answers of all members, and the cost of each model by its place in the run folder."""
    ensemble, lesson = work.config.teacher.ensemble, work.lesson
    assert ensemble is not None
    probs, answered = [], []
    costs: dict[str, StageCost] = {}
    for place, member in enumerate(ensemble.members):
        if not member.learns:
            labels = said.labels if said is not None else _column(rows)
            probs.append(labels.probs_NC)
            answered.append(labels.kept_N)
            continue
        found = [answers_of(work, place, fold) for fold in range(lesson.models)]
        costs |= {f"{FOLDER}/{cost.stage}": cost for one in found for cost in one.costs}
        probs.append(cross_fitted([one.probs for one in found], lesson.fold_N))
        answered.append(np.ones(len(lesson.rows), dtype=np.bool_))
    certain_N = None
    if ensemble.labeller is not None and said is None:
        certain_N = np.array([given is None for given in _confidences(rows)])
    return Answers(np.stack(probs), np.stack(answered), ensemble.labeller_place, certain_N), costs


def _column(rows: RunRows) -> LabelProbs:
    labels = [*(rows.train.teacher_label or []), *(rows.test.teacher_label or [])]
    return from_columns(labels, _confidences(rows), rows.labels)


def _confidences(rows: RunRows) -> list[float | None]:
    """Return the confidence beside the field's label of each row."""
    return [given for part in (rows.train, rows.test) for given in part.teacher_confidence or [None] * len(part)]


def _told(
    config: RunConfig, rows: RunRows, lesson: Lesson, answers: Answers, pool: Pool, costs: dict[str, StageCost]
) -> Ensemble:
    """Return what the report says about the members."""
    ensemble = config.teacher.ensemble
    assert ensemble is not None
    held_out_N = np.full(len(lesson.rows), -1, dtype=np.int64)
    held_out_N[lesson.train_rows :] = rows.test_labels
    judged = answers.labeller if lesson.judged_by == "teacher" else None
    members = [
        EnsembleMember(
            title=member_title(member),
            weight=float(pool.weights_M[place]),
            right=_right(answers, place, held_out_N),
            right_out_of_fold=None if place == judged else _right(answers, place, lesson.wanted_N),
            labels_from=_source(member),
            seconds=sum(c.seconds for c in costs.values() if c.stage.startswith(f"{place + 1:02d}-")),
        )
        for place, member in enumerate(ensemble.members)
    ]
    return Ensemble(
        members=members,
        folds=ensemble.folds,
        refit=ensemble.refit,
        learned_rows=int((lesson.class_N >= 0).sum()),
        labels=lesson.judged_by,
        fitted_rows=pool.rows,
        temperature=pool.temperature,
        confidence=pool.confidence,
        rounds=ensemble.rounds,
    )


def _source(member: Member) -> Literal["field", "api", "model"] | None:
    if member.learns:
        return None
    return "field" if member.prompt is None else "api" if member.api is not None else "model"


def _right(answers: Answers, member: int, wanted_N: NDArray[np.int64]) -> float | None:
    """Return the share of labels that a member gets right, of those it answers; ``None`` if there are none."""
    rows = np.flatnonzero((wanted_N >= 0) & answers.answered_MN[member])
    if not len(rows):
        return None
    return float((answers.probs_MNC[member][rows].argmax(axis=-1) == wanted_N[rows]).mean())
