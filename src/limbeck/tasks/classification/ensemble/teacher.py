"""The ensemble as a teacher: its members' cross-fitted answers, and their weighted mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.numerics.cross_fitting import cross_fitted
from limbeck.results.record import StageCost
from limbeck.results.sections import Ensemble, EnsembleMember
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.ensemble.lesson import Lesson, lesson_of
from limbeck.tasks.classification.ensemble.members import FOLDER, Work, answers_of, forget_features, member_title
from limbeck.tasks.classification.ensemble.pool import Answers, Pool, fit_pool
from limbeck.tasks.classification.label_teacher import LabelTeacher
from limbeck.tasks.classification.rows import RunRows
from limbeck.teachers.labels.label_probs import LabelProbs, from_columns
from limbeck.types import Progress

__all__ = ["make_ensemble_teacher"]


def make_ensemble_teacher(config: RunConfig, rows: RunRows, folder: Path, progress: Progress) -> LabelTeacher:
    """Train the members, each on all folds but one in turn, and return their weighted mean for all rows.

    Answers in `folder` are not computed again, and a member's model of a fold that was interrupted is finished.

    Raises:
        ConfigError: too few rows are labelled.
        ModelError: a member cannot be loaded.
        NonFiniteLoss: a member's training diverged.
    """
    ensemble, lesson = config.teacher.ensemble, lesson_of(config, rows)
    assert ensemble is not None
    work = Work(config, rows.labels, lesson, folder, progress)
    answers, costs = _ask(work, rows)
    # Labels of a fold reach its models of later rounds through those of other folds, so these would look too good.
    pool = fit_pool(answers, lesson.wanted_N, gold=lesson.judged_by == "gold")
    for number in range(2, ensemble.rounds + 1):
        label_N = pool.probs(answers).probs_NC.argmax(axis=-1)
        relabelled = work.lesson.relabelled(label_N, pool.agreement(answers, label_N))
        work = replace(work, lesson=relabelled, round=number)
        answers, more = _ask(work, rows)
        costs |= more
    for place in range(len(ensemble.members)):
        forget_features(work, place)
    scored = pool.probs(answers)
    train, test = _part(scored, slice(0, lesson.train_rows)), _part(scored, slice(lesson.train_rows, None))
    told = _told(config, rows, lesson, answers, pool, costs)
    told = told.model_copy(update={"relabelled_rows": int((work.lesson.class_N != lesson.class_N).sum())})
    members = ", ".join(f"{one.title} ({one.weight:.2f})" for one in told.members)
    progress.log(f"teacher: the weighted mean of {members}")
    title = f"cross-fitted ensemble of {len(told.members)} member{'s' if len(told.members) > 1 else ''}"
    return LabelTeacher(title, train, test, costs=costs, ensemble=told)


def _ask(work: Work, rows: RunRows) -> tuple[Answers, dict[str, StageCost]]:
    """Return the cross-fitted answers of all members, and the cost of each model by its place in the run folder."""
    ensemble, lesson = work.config.teacher.ensemble, work.lesson
    assert ensemble is not None
    probs, answered = [], []
    costs: dict[str, StageCost] = {}
    for place, member in enumerate(ensemble.members):
        if member.labels_from is not None:
            of_column = _column(rows)
            probs.append(of_column.probs_NC)
            answered.append(of_column.kept_N)
            continue
        found = [answers_of(work, place, fold) for fold in range(lesson.models)]
        costs |= {f"{FOLDER}/{cost.stage}": cost for one in found for cost in one.costs}
        probs.append(cross_fitted([one.probs for one in found], lesson.fold_N))
        answered.append(np.ones(len(lesson.rows), dtype=np.bool_))
    column = None if ensemble.column is None else ensemble.members.index(ensemble.column)
    certain_N = None
    if column is not None:
        sure = [given for part in (rows.train, rows.test) for given in part.teacher_confidence or [None] * len(part)]
        certain_N = np.array([given is None for given in sure])
    return Answers(np.stack(probs), np.stack(answered), column, certain_N), costs


def _column(rows: RunRows) -> LabelProbs:
    train, test = rows.train, rows.test
    labels = [*(train.teacher_label or []), *(test.teacher_label or [])]
    sure = [given for part in (train, test) for given in part.teacher_confidence or [None] * len(part)]
    return from_columns(labels, sure, rows.labels)


def _part(scored: LabelProbs, rows: slice) -> LabelProbs:
    return LabelProbs(
        scored.probs_NC[rows], scored.raw_NC[rows], scored.kept_N[rows], scored.flags[rows], scored.how, scored.steps
    )


def _told(
    config: RunConfig, rows: RunRows, lesson: Lesson, answers: Answers, pool: Pool, costs: dict[str, StageCost]
) -> Ensemble:
    """Return what the report says about the members."""
    ensemble = config.teacher.ensemble
    assert ensemble is not None
    held_out_N = np.full(len(lesson.rows), -1, dtype=np.int64)
    held_out_N[lesson.train_rows :] = rows.test_labels
    judged = answers.column if lesson.judged_by == "teacher" else None
    members = [
        EnsembleMember(
            title=member_title(member),
            weight=float(pool.weights_M[place]),
            right=_right(answers, place, held_out_N),
            right_out_of_fold=None if place == judged else _right(answers, place, lesson.wanted_N),
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


def _right(answers: Answers, member: int, wanted_N: NDArray[np.int64]) -> float | None:
    """Return the share of labels that a member gets right, of those it answers; ``None`` if there are none."""
    rows = np.flatnonzero((wanted_N >= 0) & answers.answered_MN[member])
    if not len(rows):
        return None
    return float((answers.probs_MNC[member][rows].argmax(axis=-1) == wanted_N[rows]).mean())
