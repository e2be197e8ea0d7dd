"""Find the usual reasons for a bad distillation before money is spent.

Each check returns findings on one aspect of the run; nothing is trained or written.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.data.encode import Encoded, same_token_ids, token_limit
from limbeck.data.look_alikes import look_alike_warnings
from limbeck.data.prompts.scored import encode_for
from limbeck.errors import LimbeckError, ModelError
from limbeck.evaluation.predict import predict_logits, softmax
from limbeck.formatting import share_text
from limbeck.losses.term import needs_of
from limbeck.models.layers import shapes
from limbeck.models.padding import padding_of
from limbeck.models.pooled_classifier import shape_in_words
from limbeck.stages.unfreezing import require_trainable
from limbeck.students.adapters import adapter_notes, all_parameters, trainable_parameters
from limbeck.students.initialise import copies_note
from limbeck.tasks.classification.asking_checks import asked_findings
from limbeck.tasks.classification.calibrate import collection_warnings, dev_labels
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.context import set_up
from limbeck.tasks.classification.dates import date_notes, with_label_dates
from limbeck.tasks.classification.ensemble.checks import lesson_findings
from limbeck.tasks.classification.ensemble.config import Ensemble
from limbeck.tasks.classification.ensemble.lesson import expected_lesson
from limbeck.tasks.classification.importance import classifier_importance
from limbeck.tasks.classification.label_order import check_label_order, labelled_by_teacher, order_is_open
from limbeck.tasks.classification.label_teacher import LabelTeacher, labels_in_column, unasked_teacher
from limbeck.tasks.classification.outer import outer_of, quiz_and_learned, require_outer
from limbeck.tasks.classification.pilot import given_by
from limbeck.tasks.classification.rival import bag_of_words_rival
from limbeck.tasks.classification.rows import (
    RunRows,
    budget_steps,
    demonstration_warnings,
    dev_warnings,
    leaked_rows,
    read_rows,
    require_labels,
    start_teacher,
)
from limbeck.tasks.classification.signals import require_fitting
from limbeck.tasks.classification.student import make_student
from limbeck.tasks.classification.timing import (
    LEAST_STEPS,
    ensemble_seconds,
    seconds_per_row,
    step_seconds,
    teacher_seconds,
    with_steps_in_time,
)
from limbeck.tasks.dev_rows import search_notes
from limbeck.tasks.finding import Finding, InFolder, more_steps, unreadable
from limbeck.tasks.layer_similarity import similarity_findings
from limbeck.tasks.new_student import student_tokenizer
from limbeck.types import UNLABELLED, Progress

__all__ = ["examine"]

_SAMPLE_ROWS = 256
_IMBALANCE = 20
_LONG_SHARE = 0.05
_FEW_OF_TEACHER = 50


def examine(config: RunConfig, progress: Progress, in_folder: InFolder) -> list[Finding]:
    """Return the findings on a run: on the data, then the models, then the expected time.

    Faults that make later checks impossible end the examination.
    """
    try:
        rows = read_rows(config)
        require_labels(config, rows)
        if rows.dev is not None:
            dev_labels(rows.dev, rows.labels)
        config = with_steps_in_time(with_label_dates(config, Path(config.output)), Path(config.output))
    except LimbeckError as error:
        return [unreadable(error), *in_folder(config)]
    counted = f"{len(rows.train)} training rows ({rows.labelled} labelled, {len(rows.labels)} labels)"
    summary = f"{counted}, {len(rows.test)} held-out rows, {rows.left_out} left out"
    findings = [Finding("ok", "data", summary), *in_folder(config, rows.fingerprints)]
    findings += search_notes(config, len(rows.dev or ()))
    findings += [*_balance(rows), *_gold(config, rows), *_repeated(config, rows)]
    findings += [Finding("warning", "labels", words) for words in look_alike_warnings(rows.labels)]
    findings += [Finding("warning", "development rows", words) for words in collection_warnings(rows)]
    findings += [Finding("warning", "demonstrations", words) for words in demonstration_warnings(config, rows)]
    findings += [Finding("note", "date", words) for words in date_notes(config)]
    if not config.teacher.is_classifier:
        return [*findings, *_with_given_labels(config, rows, progress)]
    try:
        teacher, teacher_tokenizer = start_teacher(config, rows.labels)
        tokenizer = student_tokenizer(config.student, teacher_tokenizer)
        student = make_student(config, teacher, tokenizer, rows.labels, config.seeds[0])
        wanted = config.training.max_length
        limit = min(token_limit(teacher_tokenizer, teacher, wanted), token_limit(tokenizer, student, wanted))
    except LimbeckError as error:
        return [*findings, Finding("fault", "models", str(error))]
    same_tokens = same_token_ids(teacher_tokenizer, tokenizer)
    findings += [*_tokens_and_layers(config, teacher, student, same_tokens), *_padding(teacher, student)]
    findings += [*similarity_findings(config), *_teachers_that_learn(config, rows, student)]
    findings += [Finding("warning", "layers", note) for note in [copies_note(student)] if note is not None]
    by_teacher = encode_for(teacher, rows.train, teacher_tokenizer, limit)
    if tokenizer is teacher_tokenizer:
        by_student = by_teacher.padded_as(padding_of(student, tokenizer))
    else:
        by_student = encode_for(student, rows.train, tokenizer, limit)
    longer = max(by_teacher, by_student, key=lambda encoded: encoded.rows_at_limit)
    findings += [*_adapter(config, student), *_lengths(longer, limit), *_few_steps(config, rows, len(rows.train))]
    if config.student.pruned is not None and config.teacher.fine_tune is None:
        importance = classifier_importance(config, teacher, by_teacher, rows.train_labels, progress)
        student = make_student(config, teacher, tokenizer, rows.labels, config.seeds[0], importance)
    with progress.track("teacher and student on a sample", 2) as update:
        order = _order_of_labels(config, rows, teacher, teacher_tokenizer, limit)
        findings += order
        if all(finding.level != "fault" for finding in order):
            findings += _teacher_is_worth_it(config, rows, teacher, student, teacher_tokenizer, tokenizer, limit)
        update(1)
        models = {"teacher": (teacher, by_teacher), "student": (student, by_student)}
        findings += _expected_time(config, rows, models, len(rows.train))
        update(1)
    return findings


def _with_given_labels(config: RunConfig, rows: RunRows, progress: Progress) -> list[Finding]:
    """Check a run with a black-box teacher; one with a prompt is not asked yet."""
    ensemble, column = config.teacher.ensemble, config.teacher.labels_from
    try:
        instead = unasked_teacher(config, rows) if column is None else None
        context = set_up(config, Path(config.output), rows, progress, instead)
        require_fitting(context)
    except LimbeckError as error:
        return [Finding("fault", "models", str(error))]
    assert isinstance(context.teacher, LabelTeacher)
    findings = [Finding("ok", "layers", f"student {shape_in_words(context.student)}")]
    findings += [*_adapter(config, context.student), *_lengths(context.train, context.max_length)]
    with progress.track("student on a sample", 1) as update:
        if ensemble is not None:
            findings += _members(config, rows, ensemble, progress)
        elif column is None:
            findings += asked_findings(config, rows, progress)
        else:
            findings += _given_labels_are_worth_it(config, context.teacher, rows)
        taught = int(context.taught.sum())
        findings += _few_steps(config, rows, taught)
        findings += _expected_time(config, rows, {"student": (context.student, context.train)}, taught)
        update(1)
    return findings


def _members(config: RunConfig, rows: RunRows, ensemble: Ensemble, progress: Progress) -> list[Finding]:
    """Check what the members of an ensemble learn, and estimate how long that takes; none is trained."""
    try:
        lesson = expected_lesson(config, rows)
    except LimbeckError as error:
        return [Finding("fault", "ensemble", str(error))]
    findings = lesson_findings(lesson, ensemble, rows.labels)
    for member in ensemble.members:
        if member.labels_from is not None:
            found = _given_labels_are_worth_it(config, labels_in_column(member.labels_from, rows), rows)
            findings += [replace(f, level="warning" if f.level == "fault" else f.level) for f in found]
    if config.teacher.asked is not None:
        findings += asked_findings(config, rows, progress)
    try:
        seconds = ensemble_seconds(config, rows)
    except LimbeckError as error:
        return [*findings, Finding("fault", "ensemble", str(error))]
    if seconds:
        words = f"about {_duration(seconds)} on this machine to train them and to answer all rows"
        findings.append(Finding("note", "ensemble time", words))
    return findings


def _given_labels_are_worth_it(config: RunConfig, teacher: LabelTeacher, rows: RunRows) -> list[Finding]:
    kept = int(teacher.train.kept_N.sum())
    words = f"{teacher.title}: {kept} of {len(rows.train)} training rows have one"
    gold = np.concatenate([rows.train_labels, rows.test_labels])
    known = (gold >= 0) & np.concatenate([teacher.train.kept_N, teacher.test.kept_N])
    if not known.any():
        return [Finding("note", "teacher", f"{words}; no row with a gold label to check them on")]
    given = np.concatenate([teacher.train.probs_NC, teacher.test.probs_NC])[known].argmax(axis=-1)
    right, most_frequent = (given == gold[known]).mean(), np.bincount(gold[known]).max() / known.sum()
    words += f", right on {share_text(right, digits=0)} of {known.sum()} rows with a gold label (the most frequent "
    words += f"one: {share_text(most_frequent, digits=0)})"
    if right <= most_frequent:
        return [Finding("fault", "teacher", f"{words}. Such a teacher has nothing to teach: is this the right field?")]
    return [
        Finding("ok", "teacher", words),
        *_against_bag_of_words(config, rows, *map(given_by, (teacher.train, teacher.test))),
    ]


def _against_bag_of_words(
    config: RunConfig, rows: RunRows, given_train_N: NDArray[np.int64], given_test_N: NDArray[np.int64]
) -> list[Finding]:
    """Warn of a teacher that is no better than a bag of words, as far as labelled rows show it."""
    rival = bag_of_words_rival(rows, given_train_N, given_test_N) if config.simple_baselines else None
    if rival is None:
        return []
    if rival.is_beaten:
        return [Finding("ok", "bag of words", f"the teacher is {rival}")]
    advice = "Such a teacher has little to teach. Use a better one, or the labelled rows alone"
    return [Finding("warning", "bag of words", f"the teacher is {rival}. {advice}")]


def _adapter(config: RunConfig, student: Any) -> list[Finding]:
    adapter = config.student.adapter
    if adapter is None:
        return []
    trained, whole = trainable_parameters(student), all_parameters(student)
    share = share_text(trained / whole, digits=2)
    words = f"{adapter.kind} trains {trained:,} of {whole:,} parameters ({share}), including the head"
    return [Finding("note", "adapter", words), *(Finding("warning", "adapter", n) for n in adapter_notes(adapter))]


def _balance(rows: RunRows) -> list[Finding]:
    if not rows.labelled:
        words = "no training row has a gold label, and this recipe needs none: it learns the teacher's answers"
        return [Finding("note", "labels", words)]
    counts = np.bincount(rows.train_labels[rows.train_labels >= 0], minlength=len(rows.labels))
    absent = [rows.labels[i] for i in np.flatnonzero(counts == 0)]
    findings = []
    if absent:
        findings.append(Finding("warning", "labels", f"no training row for {len(absent)} labels: {_some(absent)}"))
    present = counts[counts > 0]
    if present.max() > _IMBALANCE * present.min():
        rarest = int(np.where(counts > 0, counts, len(rows.train)).argmin())
        common, rare = rows.labels[counts.argmax()], rows.labels[rarest]
        words = f"'{common}' has {present.max()} rows, '{rare}' only {present.min()}"
        findings.append(Finding("warning", "labels", f"{words}: use macro F1 rather than accuracy"))
    if not findings:
        findings.append(Finding("ok", "labels", f"{present.min()} to {present.max()} labelled rows for each label"))
    return findings


def _gold(config: RunConfig, rows: RunRows) -> list[Finding]:
    if (rows.test_labels >= 0).any():
        return []
    words = f"none of the {len(rows.test)} held-out rows has a label in field '{config.task.label}'"
    advice = "the report will have no accuracy. Is task.label the right field?"
    # A split of unlabelled training rows has none by design; a separate file hardly does.
    level: Literal["note", "warning"] = "note" if config.data.test is None else "warning"
    return [Finding(level, "held-out labels", f"{words}: {advice}")]


def _repeated(config: RunConfig, rows: RunRows) -> list[Finding]:
    pairs = rows.train.text_pair or [""] * len(rows.train)
    seen = Counter(zip(rows.train.text, pairs, strict=True))
    again = sum(n - 1 for n in seen.values())
    leaked = leaked_rows(rows)
    findings = []
    if again:
        findings.append(Finding("note", "duplicates", f"{again} training rows repeat the text of another"))
    if leaked:
        words = f"{len(leaked)} held-out rows are also training rows, e.g. {leaked[0]}"
        advice = "the report will be too good; take them out of one of the two"
        findings.append(Finding("warning", "leaks", f"{words}: {advice}"))
    findings += [Finding("warning", "leaks", words) for words in dev_warnings(config, rows)]
    return findings or [Finding("ok", "duplicates", "no repeated rows, none in both training and held-out data")]


def _tokens_and_layers(config: RunConfig, teacher: Any, student: Any, same_tokens: bool) -> list[Finding]:
    pair = shapes(teacher, student)
    try:
        stages = {name: recipe.build().stages for name, recipe in config.recipes().items()}
        needs = {name: [needs_of(stage.bound(pair)) for stage in parts] for name, parts in stages.items()}
        require_trainable(student, (stage.trains for parts in stages.values() for stage in parts))
    except LimbeckError as error:
        return [Finding("fault", "layers", str(error))]
    closely = [name for name, stages in needs.items() if any(stage.same_tokens for stage in stages)]
    if not same_tokens and closely:
        words = f"recipe '{config.recipes()[closely[0]].name}' compares token by token, but the token ids differ"
        return [Finding("fault", "tokenizers", words)]
    words = "write the same token ids" if same_tokens else "write different token ids, which this recipe allows"
    return [
        Finding("ok", "layers", f"teacher {shape_in_words(teacher)}, student {shape_in_words(student)}"),
        Finding("ok", "tokenizers", f"teacher and student {words}"),
    ]


def _teachers_that_learn(config: RunConfig, rows: RunRows, student: Any) -> list[Finding]:
    """Check the recipes that train the teacher too, and count the rows of their quizzes."""
    findings = []
    for name, named in config.recipes().items():
        recipe = named.build()
        if outer_of(recipe.stages) is None:
            continue
        try:
            require_outer(config, rows, student, named.name, recipe)
        except LimbeckError as error:
            findings.append(Finding("fault", "teacher's training", str(error)))
            continue
        quiz, learned = quiz_and_learned(rows, recipe.stages, config.seeds[0])
        words = f"'{named.name}' ({name}) trains a copy of the teacher by {len(quiz)} labelled rows that the student "
        findings.append(Finding("note", "teacher's training", f"{words}never learns; it learns {len(learned)}"))
    return findings


def _padding(teacher: Any, student: Any) -> list[Finding]:
    """Warn of models whose answer to a row changes with the other rows of a batch: no padding suits them."""
    paddings = {"teacher": teacher, "student": student}
    found = {who: getattr(model, "batch_padding", None) for who, model in paddings.items()}
    return [
        Finding(
            "warning",
            "padding",
            f"the {who}'s logits of a row change with the rows that it is padded to in a batch, by up to "
            f"{share_text(padding.difference, digits=0)} of the largest: its figures depend on batches",
        )
        for who, padding in found.items()
        if padding is not None and padding.difference
    ]


def _lengths(encoded: Encoded, limit: int) -> list[Finding]:
    share = encoded.rows_at_limit / len(encoded.lengths)
    if share > _LONG_SHARE:
        words = f"{share_text(share, digits=0)} of the rows fill the limit of {limit} tokens and may be cut"
        advice = "raise training.max_length if the models allow it, or shorten the texts"
        return [Finding("warning", "length", f"{words}; {advice}")]
    median, longest = int(np.median(encoded.lengths)), int(encoded.lengths.max())
    return [Finding("ok", "length", f"rows have {median} tokens (median), {longest} at most; limit {limit}")]


def _order_of_labels(config: RunConfig, rows: RunRows, teacher: Any, tokenizer: Any, limit: int) -> list[Finding]:
    if not order_is_open(config):
        return []
    given, gold = labelled_by_teacher(teacher, tokenizer, rows, limit)
    try:
        warnings = check_label_order(config, rows.labels, given, gold)
    except ModelError as error:
        return [Finding("fault", "order", str(error))]
    return [Finding("warning", "order", words) for words in warnings]


def _teacher_is_worth_it(
    config: RunConfig, rows: RunRows, teacher: Any, student: Any, of_teacher: Any, of_student: Any, limit: int
) -> list[Finding]:
    """Compare teacher and untrained student on labelled held-out (or else training) rows."""
    if config.teacher.fine_tune is not None:
        return [Finding("note", "teacher", "will be fine-tuned first; its accuracy is known after that")]
    part, gold = (rows.test, rows.test_labels) if (rows.test_labels >= 0).any() else (rows.train, rows.train_labels)
    labelled = np.flatnonzero(gold >= 0)
    if not len(labelled):
        return [Finding("note", "teacher", "no labelled row to check the teacher on")]
    chosen = np.random.default_rng(0).permutation(labelled)[:_SAMPLE_ROWS]
    sample, gold = part.take(chosen.tolist()), gold[chosen]
    of_sample = predict_logits(teacher, encode_for(teacher, sample, of_teacher, limit))
    right, loss = _right_and_loss(of_sample, gold)
    before = _right_and_loss(predict_logits(student, encode_for(student, sample, of_student, limit)), gold)
    guessing = math.log(len(rows.labels))
    words = (
        f"right on {share_text(right, digits=0)} of {len(gold)} labelled rows, loss {loss:.2f} nats (guessing: "
        f"{guessing:.2f}); untrained student {share_text(before[0], digits=0)}, {before[1]:.2f}"
    )
    if loss >= guessing or right <= before[0]:
        advice = "is it trained for this task, and are its labels in the order of task.labels?"
        return [Finding("fault", "teacher", f"{words}. Such a teacher has nothing to teach: {advice}")]
    given = [np.full(len(one), UNLABELLED) for one in (rows.train, rows.test)]
    given[part is rows.test][chosen] = of_sample.argmax(axis=-1)
    return [Finding("ok", "teacher", words), *_against_bag_of_words(config, rows, *given)]


def _right_and_loss(logits: NDArray[np.float32], gold: NDArray[np.int64]) -> tuple[float, float]:
    probs = softmax(logits)
    gold_probs = np.maximum(probs[np.arange(len(gold)), gold], np.finfo(np.float64).tiny)
    return float((probs.argmax(axis=-1) == gold).mean()), float(-np.log(gold_probs).mean())


def _expected_time(
    config: RunConfig, rows: RunRows, models: dict[str, tuple[Any, Encoded]], taught: int
) -> list[Finding]:
    """Time forward passes of the models on a sample, each with its own encoding, and count passes.

    A training step costs about three forward passes.
    """
    per_row = {name: seconds_per_row(model, encoded) for name, (model, encoded) in models.items()}
    seconds = budget_steps(config, rows, taught) * step_seconds(config, rows, per_row["student"])
    if "teacher" in per_row:
        seconds += teacher_seconds(config, rows, per_row["teacher"])
    found = [Finding("note", "time", f"about {_duration(seconds)} on this machine, without evaluation")]
    if config.minutes is None:
        return found
    steps = budget_steps(config, rows, taught)
    level: Literal["warning", "note"] = "warning" if steps <= LEAST_STEPS else "note"
    words = f"each student is trained for {steps} steps" + (
        ", the fewest, though they may take longer" if level == "warning" else ""
    )
    return [*found, Finding(level, "minutes", f"{config.minutes:g} minutes: {words}")]


def _few_steps(config: RunConfig, rows: RunRows, taught: int) -> list[Finding]:
    findings, fine_tune = [], config.teacher.fine_tune
    if fine_tune is not None and any(stage.share for stage in config.teacher.recipe.build().stages):
        steps = fine_tune.total_steps(rows.labelled)
        if steps < _FEW_OF_TEACHER:
            words = f"the teacher's {steps} optimiser steps are few for {rows.labelled} labelled rows"
            findings.append(Finding("warning", "teacher's steps", f"{words}; raise teacher.fine_tune.max_steps"))
    steps = budget_steps(config, rows, taught)
    if steps < LEAST_STEPS and any(stage.share for stage in config.recipe.build().stages):
        words = f"{steps} optimiser steps are few: a new head and rare classes need a few hundred"
        findings.append(Finding("warning", "steps", f"{words}; {more_steps(config.training)}"))
    return findings


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
