"""The teacher's signals of a run with a head: stored outputs for the training rows, and live states."""

from __future__ import annotations

import numpy as np

from limbeck.evaluation.predict import length_sorted_batches
from limbeck.models.load import weights_fingerprint
from limbeck.numerics.memory import peak_memory_bytes
from limbeck.ranks import is_main, wait_for_all
from limbeck.results.record import StageCost
from limbeck.tasks.baselines import TEACHER
from limbeck.tasks.head_context import HeadContext, UsedModel
from limbeck.teachers.kept_arrays import keep_arrays, seconds_taken
from limbeck.teachers.local import LocalTeacher
from limbeck.types import Progress, Teacher

__all__ = ["SIGNALS_TITLE", "stored_signals"]

SIGNALS_TITLE = "teacher signals"
_BATCH_SEQUENCES = 64


def stored_signals(context: HeadContext, costs: dict[str, StageCost], progress: Progress) -> Teacher:
    """Return the source of the teacher's signals: answers that come with the rows, or outputs in the run folder.

    Missing outputs are computed, and their cost is added to `costs`. An interrupted pass over the rows resumes from
    what was saved last.
    """
    train, teacher = context.student.train, context.teacher
    if teacher is None:
        answers = context.coder.answers("train")
        assert answers is not None
        return context.coder.signals(answers, train, None)
    folder = context.folder / "signals"
    if is_main():
        _store(context, teacher, progress)
    wait_for_all()
    inputs = teacher.train.inputs
    costs["teacher_signals"] = StageCost(
        stage="teacher_signals",
        system=TEACHER,
        seed=context.config.seeds[0],
        seconds=seconds_taken(folder),
        steps=0,
        rows_seen=len(context.rows.train.texts),
        tokens_seen=int(inputs.lengths.sum()),
        peak_memory_bytes=peak_memory_bytes(),
    )
    return context.coder.signals(np.load(folder / "outputs.npy"), train, LocalTeacher(teacher.model))


def _store(context: HeadContext, teacher: UsedModel, progress: Progress) -> None:
    coded = teacher.train
    batches = list(length_sorted_batches(coded.inputs.lengths, _BATCH_SEQUENCES))
    keep_arrays(
        lambda number: {"outputs": coded.predict(teacher.model, batches[number])},
        [coded.answers_in(batch) for batch in batches],
        folder=context.folder / "signals",
        fingerprint=f"{weights_fingerprint(teacher.model)} {coded.inputs.fingerprint()} batch={_BATCH_SEQUENCES}",
        title=SIGNALS_TITLE,
        items=[len(batch) for batch in batches],
        progress=progress,
    )
