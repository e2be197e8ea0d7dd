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
from limbeck.evaluation.speed import Answerer
from limbeck.formatting import count_text, layers_text
from limbeck.models.bag_of_words import BagOfWords, fit_bag_of_words
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

__all__ = [
    "READING",
    "SIMPLE_SYSTEMS",
    "answer_simply",
    "described_simply",
    "model_like",
    "pretrained_encoder",
    "rows_to_read",
    "timed_simply",
]

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
        fitted = context.bag_of_words = cache(lambda: _fitted(context, learned))
        fit = cache(lambda: _bag_of_words(context, learned, fitted))
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


def timed_simply(context: Context) -> dict[str, Answerer]:
    """Return the bag of words for the measurement of speed; it is fitted again if an earlier start fitted it."""
    if context.bag_of_words is None:
        return {}
    model, test = context.bag_of_words(), context.rows.test

    def answer(rows: NDArray[np.int64]) -> object:
        asked = test.take(rows.tolist())
        return model.probs(asked.text, asked.text_pair)

    return {TFIDF: Answerer(answer, parameters=model.parameters, size_bytes=model.size_bytes)}


def model_like(context: Context) -> Literal["teacher", "student"] | None:
    """Return which model of the run has the size and speed of the frozen encoder; ``None``: neither."""
    config = context.config
    if FROZEN not in context.logits:
        return None
    if pretrained_encoder(config) is config.teacher:
        return "teacher"
    return "student" if config.student.cut is None and config.student.adapter is None else None


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


def _fitted(context: Context, learned: _Learned) -> BagOfWords:
    context.progress.log(f"fitting {_title(TFIDF)} on {count_text(len(learned.rows))} rows")
    train, targets = context.rows.train.take(learned.rows.tolist()), one_hot(learned.labels, len(context.rows.labels))
    return fit_bag_of_words(train.text, train.text_pair, targets)


def _bag_of_words(
    context: Context, learned: _Learned, fitted: Callable[[], BagOfWords]
) -> tuple[NDArray[np.float32], SimpleFit]:
    started, test = time.process_time(), context.rows.test
    model = fitted()
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
    """Return the run's pretrained encoder with the rows encoded for it, or why there is none."""
    section = pretrained_encoder(context.config)
    if isinstance(section, str):
        return section
    of_teacher = isinstance(context.teacher, ModelTeacher) and section is context.config.teacher
    reader: Any = context.teacher if of_teacher else context
    return _Encoder(section.model, section.trust_remote_code, reader.train, reader.test)


def pretrained_encoder(config: RunConfig) -> Any | str:
    """Return the section of the run file whose `model` is the pretrained encoder, or why there is none.

    It is the teacher before its fine-tuning, else the student. A teacher that is trained already is no pretrained
    encoder: its states know the task.
    """
    student: Any = config.student
    quantised = student.adapter is not None and student.adapter.kind == "qlora"  # too large to load as it is
    if config.teacher.is_classifier and config.teacher.fine_tune is not None:
        section: Any = config.teacher
    elif student.model is not None and student.head == "linear" and not quantised:
        section = student
    else:
        return "the run names no pretrained encoder"
    try:
        frozen_pooling(section.model, trust_remote_code=section.trust_remote_code)
    except ModelError as error:
        return str(error)
    return section


def _layers(encoder: _Encoder) -> int:
    config = load_config(encoder.name, trust_remote_code=encoder.trust_remote_code)
    return int(config.get_text_config().num_hidden_layers)
