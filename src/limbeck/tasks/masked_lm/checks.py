"""The doctor's checks of a run: texts, models, masks, losses, steps and time. Nothing is trained or written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.masked.encode import MaskedTexts
from limbeck.errors import LimbeckError
from limbeck.evaluation.masked import masked_sums
from limbeck.formatting import duration_text, layers_text, parameters_text, share_text
from limbeck.models.layers import depth
from limbeck.ranks import device
from limbeck.students.adapters import all_parameters
from limbeck.students.initialise import copies_note
from limbeck.tasks.dev_rows import search_notes
from limbeck.tasks.finding import Finding, InFolder, more_steps, unreadable
from limbeck.tasks.layer_similarity import similarity_findings
from limbeck.tasks.masked_lm.config import MaskedRunConfig
from limbeck.tasks.masked_lm.context import Context, open_context
from limbeck.tasks.masked_lm.rows import MaskedRows, read_texts, row_warnings
from limbeck.tasks.masked_lm.usefulness import mean_loss, useless_teacher
from limbeck.types import Progress

__all__ = ["examine_masked"]

_SAMPLE_ROWS = 64
_TRAINING_COSTS = 3.0
"""A step of training takes about three times as long as reading its texts."""
_FEW_STEPS = 200
_MANY_UNKNOWN = 0.02


def examine_masked(config: MaskedRunConfig, progress: Progress, in_folder: InFolder) -> list[Finding]:
    """Return the findings on a run. Faults that make later checks impossible end the examination."""
    try:
        rows = read_texts(config)
    except LimbeckError as error:
        return [unreadable(error), *in_folder(config)]
    findings = [*_rows(config, rows), *in_folder(config, rows.fingerprints)]
    findings += search_notes(config, len(rows.dev or ()))
    try:
        context = open_context(config, Path(config.output), rows, progress)
    except LimbeckError as error:
        return [*findings, Finding("fault", "models", str(error))]
    pruned = config.student.pruned is not None and config.teacher.fine_tune is None
    student = context.new_student(config.seeds[0], context.measured_importance() if pruned else None).to(device())
    findings += [*_models(context, student), *similarity_findings(config), *_masks(context), *_steps(context)]
    with progress.track("teacher and student on a sample", 1) as update:
        findings += _losses_and_time(context, student)
        update(1)
    return findings


def _rows(config: MaskedRunConfig, rows: MaskedRows) -> Iterator[Finding]:
    counts = f"{len(rows.train)} training texts, {len(rows.test)} held-out texts, {rows.left_out} left out"
    yield Finding("ok", "data", counts)
    if rows.train.duplicates:
        yield Finding("note", "duplicates", f"{rows.train.duplicates} training rows repeat another")
    for words in row_warnings(config, rows):
        yield Finding("warning", "data", words)


def _models(context: Context, student: Any) -> Iterator[Finding]:
    sizes = [
        f"{name} {layers_text(depth(model))}, {parameters_text(all_parameters(model))} parameters"
        for name, model in (("teacher", context.teacher), ("student", student))
    ]
    yield Finding("ok", "layers", "; ".join(sizes))
    if (note := copies_note(student)) is not None:
        yield Finding("warning", "layers", note)
    whole = student if context.config.student.cut is None and context.config.student.model is not None else None
    for name, model in (("teacher", context.teacher), ("student", whole)):
        if getattr(model, "head_is_new", False):
            yield Finding("note", "head", f"the {name} has no masked-language head and begins with a new one")
    yield Finding("ok", "vocabulary", f"teacher and student know the same {context.vocabulary:,} tokens")


def _masks(context: Context) -> Iterator[Finding]:
    train, tokenizer = context.train, context.tokenizer
    maskable, masked = int(train.maskable.sum()), int(train.supervised.sum())
    words = f"{masked:,} of {maskable:,} tokens are masked in each pass ({share_text(masked / maskable)})"
    yield Finding("ok", "masks", f"{words}; rows have up to {int(train.lengths.max())} of {context.max_length} tokens")
    if (long := len(train) - len(train.texts_read)) > 0:
        yield Finding("note", "masks", f"texts of more than {context.max_length} tokens are split: {long:,} more rows")
    if train.bare:
        yield Finding("warning", "masks", f"{len(train.bare)} texts have no token to mask, e.g. {train.bare[0]}")
    unknown = 0 if tokenizer.unk_token_id is None else int((train.ids == tokenizer.unk_token_id).sum())
    if unknown > _MANY_UNKNOWN * len(train.ids):
        share = share_text(unknown / len(train.ids))
        yield Finding("warning", "vocabulary", f"{share} of the tokens are unknown to the tokenizer: wrong language?")


def _steps(context: Context) -> Iterator[Finding]:
    training = context.config.training
    if (steps := training.total_steps(len(context.train))) < _FEW_STEPS:
        words = f"{steps} optimiser steps are few: students often need {_FEW_STEPS} or more"
        yield Finding("warning", "steps", f"{words}; {more_steps(training)}")


def _losses_and_time(context: Context, student: Any) -> Iterator[Finding]:
    """Compare teacher and student on some held-out texts, and time how long they take to read them."""
    sample = _first(context.test, _SAMPLE_ROWS)
    losses, seconds = {}, {}
    for name, model in (("teacher", context.teacher.to(device())), ("student", student)):
        started = time.perf_counter()
        losses[name] = mean_loss(masked_sums(model, sample, vocabulary=context.vocabulary, update=lambda rows: None))
        seconds[name] = (time.perf_counter() - started) / len(sample)
    words = f"loss per masked token: teacher {losses['teacher']:.2f}, student {losses['student']:.2f} nats"
    copied = context.config.student.of_teacher
    fault = useless_teacher(losses["teacher"], losses["student"], context.vocabulary, copied=copied)
    if context.config.teacher.fine_tune is not None:
        yield Finding("note", "losses", f"{words}, before the teacher is trained")
    elif fault is not None and context.teaches:
        yield Finding("fault", "losses", fault)
    else:
        yield Finding("ok", "losses", f"{words} (on {len(sample)} held-out rows)")
    yield Finding("note", "time", f"about {duration_text(_expected(context, seconds))} on this machine")


def _expected(context: Context, seconds: dict[str, float]) -> float:
    """Return the seconds of the whole run, from those for a row."""
    config = context.config
    rows = config.training.total_steps(len(context.train)) * config.training.batch_size
    total = 0.0
    for recipe in config.recipes().values():
        with_teacher = seconds["teacher"] if recipe.build().needs.teacher else 0.0
        total += config.trainings * rows * (_TRAINING_COSTS * seconds["student"] + with_teacher)
    if (training := config.teacher.fine_tune) is not None:
        total += training.total_steps(len(context.train)) * training.batch_size * _TRAINING_COSTS * seconds["teacher"]
    return total


def _first(texts: MaskedTexts, rows: int) -> MaskedTexts:
    """Return the first rows."""
    end = int(texts.offsets[: rows + 1][-1])
    return replace(
        texts,
        ids=texts.ids[:end],
        maskable=texts.maskable[:end],
        offsets=texts.offsets[: rows + 1],
        text_of=np.asarray(texts.text_of[:rows]),
    )
