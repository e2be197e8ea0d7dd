"""How long the trainings of a run take on this machine, and how many steps fit in a time."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.encode import Encoded, token_limit
from limbeck.data.prompts.scored import encode_for
from limbeck.errors import LimbeckError, ModelError
from limbeck.ranks import from_main, is_main
from limbeck.tasks.baselines import trained
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.ensemble.checks import rows_read
from limbeck.tasks.classification.ensemble.lesson import expected_lesson
from limbeck.tasks.classification.ensemble.members import load_member, member_title
from limbeck.tasks.classification.outer import outer_of
from limbeck.tasks.classification.rows import RunRows, read_rows, require_labels, start_teacher
from limbeck.tasks.classification.student import make_student
from limbeck.tasks.new_student import student_tokenizer
from limbeck.tasks.record import recorded_value

__all__ = [
    "LEAST_STEPS",
    "ensemble_seconds",
    "seconds_per_row",
    "step_seconds",
    "teacher_seconds",
    "with_steps_in_time",
]

LEAST_STEPS = 200
"""A new head and rare classes need a few hundred."""
_MOST_PASSES = 10
_TIMED_ROWS = 96
_TRAINED = 3
"""A row that is trained on costs about as much as three that are read."""
_WITH_TEACHER = 6
"""And about six times that if a teacher of twice the layers is trained through it."""


def seconds_per_row(model: Any, encoded: Encoded) -> float:
    """Return the time to read a row, measured on a sample."""
    import torch

    from limbeck.models.taps import run_model

    sample = np.random.default_rng(0).permutation(len(encoded.lengths))[:_TIMED_ROWS]
    model.eval()
    with torch.no_grad():
        run_model(model, encoded.batch(sample[:8]))
        started = time.perf_counter()
        for part in np.array_split(sample, 3):
            if len(part):
                run_model(model, encoded.batch(part))
    return (time.perf_counter() - started) / len(sample)


def step_seconds(config: RunConfig, rows: RunRows, per_row: float) -> float:
    """Return the time of one optimiser step of every student: all systems, seeds and trials.

    Args:
        config: the run.
        rows: its rows.
        per_row: seconds in which the student reads a row.
    """
    recipes = trained(config.recipes(), rows.labelled).values()
    factors = [1 if outer_of(recipe.build().stages) is None else _WITH_TEACHER for recipe in recipes]
    return _TRAINED * per_row * config.training.batch_size * config.trainings * sum(factors)


def teacher_seconds(config: RunConfig, rows: RunRows, per_row: float) -> float:
    """Return the time of a teacher with weights: its training, if it has one, and its reading of the training rows."""
    read, training = len(rows.train), config.teacher.fine_tune
    if training is not None and any(stage.share for stage in config.teacher.recipe.build().stages):
        read += _TRAINED * training.total_steps(rows.labelled) * training.batch_size
    return per_row * read


def ensemble_seconds(config: RunConfig, rows: RunRows) -> float:
    """Return the time to train the members that are models, and for them to answer all rows.

    Raises:
        ConfigError: too few rows are labelled.
        ModelError: a member cannot be loaded.
    """
    ensemble, lesson, seconds = config.teacher.ensemble, expected_lesson(config, rows), 0.0
    assert ensemble is not None
    for place, member in enumerate(ensemble.members):
        if member.training is None:
            continue
        limit, seed = member.training.max_length or config.training.max_length, config.seeds[0] + place
        try:
            model, _, encoded = load_member(member, lesson.rows, rows.labels, limit=limit, seed=seed)
        except LimbeckError as error:
            raise ModelError(f"{member_title(member)}: {error}") from error
        seconds += seconds_per_row(model, encoded) * rows_read(lesson, ensemble, member)
    return seconds


def with_steps_in_time(config: RunConfig, folder: Path) -> RunConfig:
    """Return the run with as many steps for each student as fit in its ``minutes``; a run without them as it is.

    They are measured when a run begins in `folder`, and then read there: later the machine may be slower.

    Raises:
        LimbeckError: rows or models cannot be read.
    """
    if config.minutes is None or config.training.max_steps is not None:
        return config
    steps = recorded_value(folder, "training", "max_steps")
    if not isinstance(steps, int) or recorded_value(folder, "minutes") != config.minutes:
        steps = _steps_in(60 * config.minutes, config) if is_main() else 0
    training = config.training.model_copy(update={"max_steps": int(from_main(steps))})
    return config.model_copy(update={"training": training})


def _steps_in(seconds: float, config: RunConfig) -> int:
    """Return the steps of each student that fit beside the teacher: at least 200, at most ten passes."""
    rows = read_rows(config)
    require_labels(config, rows)
    teacher, tokenizer = start_teacher(config, rows.labels) if config.teacher.is_classifier else (None, None)
    if teacher is not None:
        seconds -= teacher_seconds(config, rows, seconds_per_row(teacher, _sample(config, rows, teacher, tokenizer)))
    elif config.teacher.ensemble is not None:
        seconds -= ensemble_seconds(config, rows)
    tokenizer = student_tokenizer(config.student, tokenizer)
    student = make_student(config, teacher, tokenizer, rows.labels, config.seeds[0])
    per_row = seconds_per_row(student, _sample(config, rows, student, tokenizer))
    most = math.ceil(_MOST_PASSES * len(rows.train) / config.training.batch_size)
    return max(LEAST_STEPS, min(int(seconds / step_seconds(config, rows, per_row)), most))


def _sample(config: RunConfig, rows: RunRows, model: Any, tokenizer: Any) -> Encoded:
    """Return some training rows as a model reads them."""
    picked = np.random.default_rng(0).permutation(len(rows.train))[:_TIMED_ROWS].tolist()
    return encode_for(
        model, rows.train.take(picked), tokenizer, token_limit(tokenizer, model, config.training.max_length)
    )
