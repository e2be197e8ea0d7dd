"""The doctor's checks of a run of models with a head: rows, models, lengths, steps and time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from limbeck.errors import LimbeckError
from limbeck.formatting import duration_text, share_text
from limbeck.models.pooled_classifier import shape_in_words
from limbeck.stages.stage import Training
from limbeck.tasks.dev_rows import search_notes
from limbeck.tasks.finding import Finding, InFolder, more_steps, unreadable
from limbeck.tasks.head_config import HeadRunConfig
from limbeck.tasks.head_context import HeadContext, UsedModel
from limbeck.tasks.head_rows import HeadRows
from limbeck.tasks.head_systems import systems_of
from limbeck.tasks.layer_similarity import similarity_findings
from limbeck.types import Progress

__all__ = ["examine_heads"]

_TIMED_SEQUENCES = 64
_TRAINING_COSTS = 3.0
"""A step of training takes about three times as long as reading its rows."""
_FEW_STEPS = 200
_FEW_ANSWERS = 20


def examine_heads(
    config: HeadRunConfig,
    progress: Progress,
    in_folder: InFolder,
    *,
    read: Callable[[], HeadRows[Any]],
    open_with: Callable[[HeadRows[Any]], HeadContext],
    answers: Callable[[HeadRows[Any]], dict[str, int]],
) -> list[Finding]:
    """Return the findings on a run. Faults that make later checks impossible end the examination.

    Args:
        config: the run.
        progress: shows the progress.
        in_folder: returns why the run cannot use its folder.
        read: reads the rows.
        open_with: loads the models.
        answers: counts the gold answers of the training rows by label, if there are labels.
    """
    try:
        rows = read()
    except LimbeckError as error:
        return [unreadable(error), *in_folder(config)]
    counts = rows.counts
    summary = (
        f"{counts['train']} training rows ({counts['labelled']} labelled), {counts['test']} held-out rows, "
        f"{counts['left_out']} left out; {', '.join(rows.labels[:8])}{', ...' if len(rows.labels) > 8 else ''}"
    )
    findings = [Finding("ok", "data", summary), *in_folder(config, rows.fingerprints)]
    findings += [Finding("warning", "data", words) for words in rows.warnings]
    findings += [*search_notes(config, counts.get("dev", 0)), *_rare(answers(rows))]
    try:
        context = open_with(rows)
        systems = systems_of(context, config.seeds[0])
    except LimbeckError as error:
        return [*findings, Finding("fault", "models", str(error))]
    findings += [
        *_models(context),
        *similarity_findings(config),
        *_windows(context),
        *_steps(systems, config.training),
    ]
    findings += [Finding("warning", "entities", words) for words in context.coder.notes()]
    with progress.track("teacher and student on a sample", 1) as update:
        findings.append(_expected_time(context, systems))
        update(1)
    return findings


def _rare(answers: dict[str, int]) -> Iterator[Finding]:
    rare = [f"{label} ({count})" for label, count in answers.items() if count < _FEW_ANSWERS]
    if rare:
        message = f"few gold answers in the training rows: {', '.join(rare[:8])}. Little can be learnt about these"
        yield Finding("warning", "labels", message)


def _models(context: HeadContext) -> Iterator[Finding]:
    used: list[tuple[str, UsedModel]] = [("student", context.student)]
    if context.teacher is not None:
        used.insert(0, ("teacher", context.teacher))
    sizes = ", ".join(f"{name} {shape_in_words(one.model)}" for name, one in used)
    yield Finding("ok", "layers", sizes)


def _windows(context: HeadContext) -> Iterator[Finding]:
    """Report long texts: they are read in windows, or cut if one answer is for the whole text."""
    inputs, rows, limit = context.student.train.inputs, len(context.rows.train.texts), context.max_length
    longest = int(inputs.lengths.max())
    yield Finding("ok", "lengths", f"the longest sequence has {longest} of {limit} tokens")
    if len(inputs.lengths) > rows:
        several = int((np.bincount(context.student.train.row_of) > 1).sum())
        yield Finding("note", "lengths", f"{several} texts are longer, and read in windows of {limit} tokens")
    if inputs.rows_at_limit:
        share = share_text(inputs.rows_at_limit / rows)
        yield Finding("warning", "lengths", f"{share} of the rows fill {limit} tokens: the rest is cut")


def _steps(systems: list[Any], training: Training) -> Iterator[Finding]:
    steps = min((sum(p.steps for p in system.stages) for system in systems if system.role == "main"), default=0)
    if steps < _FEW_STEPS:
        words = f"{steps} optimiser steps are few: students often need {_FEW_STEPS} or more"
        yield Finding("warning", "steps", f"{words}; {more_steps(training)}")


def _expected_time(context: HeadContext, systems: list[Any]) -> Finding:
    seconds = 0.0
    pace = {"student": _seconds_a_sequence(context.student)}
    if context.teacher is not None:
        pace["teacher"] = _seconds_a_sequence(context.teacher)
    for system in systems:
        name = "teacher" if system.role == "teacher" else "student"
        config = context.config
        seeds = 1 if system.role == "teacher" else config.trainings if system.stages else len(config.seeds)
        trained = sum(p.steps * p.training.batch_size for p in system.stages) * _TRAINING_COSTS
        seconds += seeds * (trained + len(context.student.test.inputs.lengths)) * pace.get(name, 0.0)
    return Finding("note", "time", f"about {duration_text(seconds)} on this machine, by reading a sample of rows")


def _seconds_a_sequence(used: UsedModel) -> float:
    from limbeck.models.taps import run_model
    from limbeck.models.trials import undisturbed

    lengths = used.train.inputs.lengths
    sample = np.random.default_rng(0).permutation(len(lengths))[:_TIMED_SEQUENCES]
    device = next(used.model.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in used.train.inputs.batch(sample).items()}
    with undisturbed(used.model):
        run_model(used.model, inputs)
        started = time.perf_counter()
        run_model(used.model, inputs)["logits"].sum().item()
    return (time.perf_counter() - started) / len(sample)
