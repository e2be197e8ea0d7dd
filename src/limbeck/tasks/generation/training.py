"""One stage of a generation run: its rows, and the texts generated while it runs."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.data.generation.encoded import EncodedSequences
from limbeck.evaluation.generation.run_models import reference_sums
from limbeck.losses.readout import TokenReadout
from limbeck.models.layers import shapes
from limbeck.sequences.corpus import BesideCorpus
from limbeck.sequences.fixed import FixedSequences
from limbeck.sequences.given import TeacherWritten
from limbeck.sequences.replay import Replay
from limbeck.sequences.source import WithCorpus
from limbeck.stages.early_stopping import Judge, Judgement
from limbeck.stages.layer_similarity import measure_similarity, sampled
from limbeck.stages.pipeline import StageRun
from limbeck.stages.stage import Stage
from limbeck.tasks.generation.config import TextTraining
from limbeck.tasks.generation.context import Context
from limbeck.tasks.generation.importance import writer_importance
from limbeck.tasks.generation.settings import set_writing
from limbeck.tasks.generation.writers import StageTexts
from limbeck.tasks.generation.writing import teacher_texts
from limbeck.tasks.layer_similarity import with_similarity
from limbeck.tasks.task import PlannedStage, System
from limbeck.teachers.language_model import LanguageTeacher
from limbeck.types import Batch, CompletionSource, Shapes, Teacher, Writer

__all__ = ["measured_pair", "stage_run"]

_VALIDATION_SHARE, _VALIDATION_ROWS = 0.05, 200


def stage_run(
    context: Context, system: System, planned: PlannedStage, seed: int, model: Any, teacher: Teacher | None
) -> StageRun:
    """Return the inputs of a stage.

    Args:
        context: of the run.
        system: the system of the stage.
        planned: the stage.
        seed: of order, coins and sampling.
        model: the student, or the teacher that is fine-tuned.
        teacher: source of signals; ``None`` if no term of the system needs one.
    """
    stage, training, of_teacher = planned.stage, planned.training, system.role == "teacher"
    assert isinstance(training, TextTraining)
    encoded = context.train_for_teacher if of_teacher else _read_by(context, stage)
    learnt = np.flatnonzero(encoded.supervised > 0) if stage.reads_given else np.arange(len(encoded))
    validation = learnt[:0]
    if stage.part(Replay) is not None:
        validation, learnt = _split(learnt, seed)
    tokenizer = context.teacher_tokenizer if of_teacher else context.student_tokenizer
    set_writing(model, tokenizer, encoded)  # others load a stage's folder, and so does vLLM here
    source = CompletionSource.DATA if stage.part(TeacherWritten) is None else CompletionSource.TEACHER
    texts = StageTexts(context, stage, model, encoded, learnt, validation, training.batch_size, planned.steps, seed)
    return StageRun(
        folder=context.folder / "stages" / planned.folder,
        log=context.folder / "log.jsonl",
        system=system.name,
        seed=seed,
        training=training,
        sequences=FixedSequences(learnt, encoded.lengths, training.batch_size, planned.steps, seed),
        make_batch=partial(_batch, encoded, source, pack=training.packing and stage.packable),
        progress=context.progress,
        title=planned.title,
        readout=TokenReadout(None if of_teacher else context.vocabulary),
        writer=_writer(texts),
        tokenizer=tokenizer,
        # Terms on tokens have no layers to map, so without a teacher's weights any shape will do.
        shapes=shapes(model, model) if context.teacher is None or of_teacher else measured_pair(context),
        teacher=teacher,
        unpruned=partial(context.new_student, seed, whole=True),
        judge=None if stage.only_hints else _judge(context, training, of_teacher=of_teacher),
    )


def measured_pair(context: Context) -> Shapes:
    """Return the shapes of teacher and student, with the similarity of their layers if a recipe reads it."""
    return with_similarity(
        context.config, context.student_pair, context.folder, partial(_similarity, context), context.progress
    )


def _similarity(context: Context) -> NDArray[np.float32]:
    """Compare the layers of the first seed's student before training with those of the teacher."""
    return measure_similarity(
        context.new_student(context.config.seeds[0], writer_importance(context)),
        LanguageTeacher(context.teacher, context.vocabulary),
        readout=TokenReadout(context.vocabulary),
        shapes=context.student_pair,
        rows=sampled(len(context.train_rows)),
        make_batch=partial(_batch, context.train_rows, CompletionSource.DATA),
        progress=context.progress,
    )


def _judge(context: Context, training: TextTraining, *, of_teacher: bool) -> Judge | None:
    """Return how a stage is judged on development rows, if it is: by the loss per token of their completions."""
    if training.early_stopping is None:
        return None
    encoded = context.dev_for_teacher if of_teacher else context.dev
    assert encoded is not None

    def measure(model: Any) -> Judgement:
        found = reference_sums(model, encoded, vocabulary=context.vocabulary, update=lambda rows: None)
        assert found.nll_sum_N is not None
        loss = float(found.nll_sum_N.sum() / found.tokens_N.sum())
        return Judgement(-loss, {"loss": loss})

    return Judge(training.early_stopping, measure)


def _read_by(context: Context, stage: Stage) -> EncodedSequences:
    by_teacher = stage.part(TeacherWritten)
    return context.train_rows if by_teacher is None else teacher_texts(context, by_teacher.decoding)


def _split(rows: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hold out a few rows on which the replay decides whether to use more of the student's texts."""
    count = min(_VALIDATION_ROWS, max(1, round(_VALIDATION_SHARE * len(rows))))
    order = np.random.default_rng(seed).permutation(rows)
    return np.sort(order[:count]), np.sort(order[count:])


def _writer(texts: StageTexts) -> Writer | None:
    """Return the writer that generates texts while the stage runs, and mixes in plain text."""
    writer, corpus = texts.writer(), texts.context.corpus
    if texts.stage.part(WithCorpus) is None:
        return writer
    assert corpus is not None
    return BesideCorpus(writer, partial(_batch, corpus, CompletionSource.CORPUS), rows=len(corpus), **texts.place)


def _batch(
    encoded: EncodedSequences, source: CompletionSource, rows: NDArray[np.int64], *, pack: bool = False
) -> Batch:
    batch = encoded.batch(rows, pack=pack)
    batch["rows_B"] = torch.from_numpy(np.asarray(rows))
    batch["source_B"] = torch.full((len(rows),), int(source))
    return batch
