"""What anybody would try first, in seconds: logistic regression on TF-IDF, and on the vectors of a frozen encoder.

Both learn the gold labels of the training rows, or the teacher's where no row has one. They have no seed: the same
rows give the same answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import as_json
from limbeck.data.encode import Encoded
from limbeck.errors import ModelError
from limbeck.evaluation.predict import predict_vectors
from limbeck.formatting import count_text, layers_text
from limbeck.models.bag_of_words import fit_bag_of_words
from limbeck.models.frozen_encoder import frozen_pooling, load_frozen_encoder
from limbeck.models.load import load_config
from limbeck.models.pooling import StatePooling
from limbeck.numerics.logistic_regression import fit_logistic_regression, one_hot
from limbeck.ranks import device
from limbeck.results.record import System as Described
from limbeck.results.sections import SimpleFit
from limbeck.tasks.baselines import FROZEN, TFIDF
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.context import Context, ModelTeacher
from limbeck.tasks.classification.label_teacher import LabelTeacher
from limbeck.tasks.kept import kept, kept_array
from limbeck.tasks.record import described
from limbeck.tasks.task import System
from limbeck.teachers.local import LocalTeacher
from limbeck.teachers.stored import StoredTeacher

__all__ = ["READING", "SIMPLE_SYSTEMS", "answer_simply", "described_simply", "rows_to_read"]

SIMPLE_SYSTEMS = (
    System(TFIDF, "simple", title="TF-IDF + logistic regression"),
    System(FROZEN, "simple", title="Frozen embeddings + logistic regression"),
)
"""The simplest first."""
READING = "reading: frozen embeddings"
"""Title of the bar while the encoder reads."""
_FOLDER = "simple_baselines"
_MOST_ROWS = 20_000
"""Rows that are learned: enough for a simple baseline, and quickly read by an encoder."""
_LEAST_PROBABILITY = 1e-30
_POOLED: dict[StatePooling, str] = {
    "mean": "mean state",
    "first": "state of the first token",
    "last": "state of the last token",
}


class _Learned(NamedTuple):
    """The rows to learn, by their numbers among the training rows, with their labels."""

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    whose: Literal["gold", "teacher"]


@dataclass(frozen=True)
class _Encoder:
    """The pretrained encoder of a run, and the rows as it reads them."""

    name: str
    trust_remote_code: bool
    train: Encoded
    test: Encoded


def answer_simply(context: Context, name: str, signals: StoredTeacher | LocalTeacher | None) -> None:
    """Fit a simple baseline and answer the held-out rows, or read the answers of an earlier start of this run.

    What is missing for it becomes a warning of the context.

    Args:
        context: of the run; gets the logits and the fit.
        name: `TFIDF` or `FROZEN`.
        signals: the teacher's, which are learned if no training row has a gold label.
    """
    learned = _learned(context, signals)
    if learned is None:
        context.warnings.append(f"No training row has a label to learn, so there is no baseline {_title(name)}.")
        return
    fit: Callable[[], tuple[NDArray[np.float32], SimpleFit]]
    if name == TFIDF:
        fit = cache(lambda: _bag_of_words(context, learned))
    else:
        encoder = _encoder(context)
        if isinstance(encoder, str):
            context.warnings.append(f"There is no baseline {_title(name)}: {encoder}.")
            return
        fit = cache(lambda: _frozen(context, encoder, learned))
    seed = context.config.seeds[0]
    logits = kept_array(context.folder, f"{_FOLDER}/{name}.npy", lambda: fit()[0], context.progress)
    context.logits[name] = {seed: logits}
    context.simple_fits[name] = kept(
        context.folder,
        f"{_FOLDER}/{name}.json",
        make=lambda: as_json(fit()[1].model_dump()).encode(),
        read=_read_fit,
        progress=context.progress,
    )


def described_simply(context: Context, system: System) -> Described:
    """Return a simple baseline in the form of the record."""
    encoder = _encoder(context) if system.name == FROZEN else None
    layers = _layers(encoder) if isinstance(encoder, _Encoder) else None
    return described(system, context.simple_fits[system.name].reads, layers)


def rows_to_read(context: Context) -> int:
    """Return the number of texts that the frozen encoder reads at most; 0 without one."""
    if isinstance(_encoder(context), str):
        return 0
    return min(_MOST_ROWS, context.rows.labelled or len(context.rows.train)) + len(context.rows.test)


def _title(name: str) -> str:
    return next(system.title for system in SIMPLE_SYSTEMS if system.name == name)


def _read_fit(path: Path) -> SimpleFit:
    return SimpleFit.model_validate_json(path.read_text(encoding="utf-8"))


def _learned(context: Context, signals: StoredTeacher | LocalTeacher | None) -> _Learned | None:
    """Return the labels to learn; ``None`` if there are neither gold labels nor stored ones of the teacher."""
    gold = context.rows.train_labels
    if (gold >= 0).any():
        return _some(np.flatnonzero(gold >= 0), gold, "gold")
    given = _labels_given(context.teacher, signals)
    return None if given is None else _some(np.flatnonzero(context.taught), given, "teacher")


def _some(rows: NDArray[np.int64], labels: NDArray[np.int64], whose: Literal["gold", "teacher"]) -> _Learned:
    if len(rows) > _MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:_MOST_ROWS])
    return _Learned(rows, labels[rows], whose)


def _labels_given(
    teacher: ModelTeacher | LabelTeacher, signals: StoredTeacher | LocalTeacher | None
) -> NDArray[np.int64] | None:
    """Return the teacher's label of every training row; ``None`` if it runs along or was not asked for them."""
    if isinstance(teacher, LabelTeacher):
        return np.asarray(teacher.train.probs_NC.argmax(axis=-1))
    if not isinstance(signals, StoredTeacher) or not signals.has_logits:
        return None
    return np.asarray(signals.log_probs(np.arange(len(teacher.train.lengths))).argmax(axis=-1))


def _bag_of_words(context: Context, learned: _Learned) -> tuple[NDArray[np.float32], SimpleFit]:
    context.progress.log(f"fitting {_title(TFIDF)} on {count_text(len(learned.rows))} rows")
    started, classes = time.process_time(), len(context.rows.labels)
    train, test = context.rows.train.take(learned.rows.tolist()), context.rows.test
    model = fit_bag_of_words(train.text, train.text_pair, one_hot(learned.labels, classes))
    probs_NC = model.probs(test.text, test.text_pair)
    logits_NC = np.log(np.maximum(probs_NC, _LEAST_PROBABILITY)).astype(np.float32)
    seconds = time.process_time() - started
    return logits_NC, _fit(TFIDF, "words and parts of words", learned, seconds, model.inverse_strength)


def _frozen(context: Context, source: _Encoder, learned: _Learned) -> tuple[NDArray[np.float32], SimpleFit]:
    started = time.process_time()
    encoder = load_frozen_encoder(source.name, trust_remote_code=source.trust_remote_code)
    encoder.model.to(device())
    with context.progress.track(READING, len(learned.rows) + len(context.rows.test)) as update:
        train_ND = predict_vectors(encoder, source.train, learned.rows, update=update)
        test_ND = predict_vectors(encoder, source.test, update=update)
    head = fit_logistic_regression(train_ND, one_hot(learned.labels, len(context.rows.labels)))
    logits_NC = (test_ND @ head.weight_CD.T + head.bias_C).astype(np.float32)
    seconds = time.process_time() - started
    reads = f"{_POOLED[encoder.pooling]} of {Path(source.name).name}, {layers_text(_layers(source))}"
    return logits_NC, _fit(FROZEN, reads, learned, seconds, head.inverse_strength)


def _fit(name: str, reads: str, learned: _Learned, seconds: float, inverse_strength: float) -> SimpleFit:
    return SimpleFit(
        system=name,
        reads=reads,
        labels=learned.whose,
        rows=len(learned.rows),
        cpu_seconds=seconds,
        inverse_strength=inverse_strength,
    )


def _encoder(context: Context) -> _Encoder | str:
    """Return the run's pretrained encoder: the teacher's before fine-tuning, else the student's; or why there is none.

    A teacher that is trained already is no pretrained encoder: its states know the task.
    """
    config = context.config
    source = _source(config)
    if source is None:
        return "the run names no pretrained encoder"
    name, section = source
    try:
        frozen_pooling(name, trust_remote_code=section.trust_remote_code)
    except ModelError as error:
        return str(error)
    of_teacher = isinstance(context.teacher, ModelTeacher) and section is config.teacher
    reader: Any = context.teacher if of_teacher else context
    return _Encoder(name, section.trust_remote_code, reader.train, reader.test)


def _source(config: RunConfig) -> tuple[str, Any] | None:
    """Return the name of the pretrained encoder with its section of the run file."""
    teacher, student = config.teacher, config.student
    if teacher.is_classifier and teacher.fine_tune is not None:
        assert teacher.model is not None
        return teacher.model, teacher
    quantised = student.adapter is not None and student.adapter.kind == "qlora"  # too large to load as it is
    return (student.model, student) if student.model and student.head == "linear" and not quantised else None


def _layers(encoder: _Encoder) -> int:
    config = load_config(encoder.name, trust_remote_code=encoder.trust_remote_code)
    return int(config.get_text_config().num_hidden_layers)
