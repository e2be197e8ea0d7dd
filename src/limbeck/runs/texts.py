"""A run of a student that writes, from beginning to end: `limbeck distill` with ``task.kind: generation``.

    rows -> teacher (fine-tuned first, if asked) -> its texts and signals, as far as the recipe reads them -> for
    each seed: student before, distilled student, same-budget fine-tuned student -> figures -> report and student

Every step leaves its work in the run folder and finds it there again, so a run that was killed at any moment
goes on with the same command.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.errors import ModelError
from limbeck.generation_results import GenerationResults
from limbeck.ranks import device, is_main
from limbeck.recipes.sft import sft
from limbeck.results import SystemName
from limbeck.runs.folder import hold, record_run
from limbeck.runs.template_dates import with_text_date
from limbeck.runs.text_bench import TextBench, set_up
from limbeck.runs.text_config import TextRunConfig
from limbeck.runs.text_data import read_texts
from limbeck.runs.text_measuring import measure, measuring
from limbeck.runs.text_outcome import TextOutcome, write_text_outcome
from limbeck.runs.text_store import stored_teacher
from limbeck.runs.text_training import train_stage
from limbeck.runs.whole_run import WholeRun
from limbeck.sequences.given import TeacherWritten
from limbeck.stages.stage import Stage
from limbeck.students.adapters import all_parameters
from limbeck.tasks.task import Part
from limbeck.teachers.language_model import LanguageTeacher
from limbeck.types import Progress, Teacher

__all__ = ["run_texts"]


def run_texts(config: TextRunConfig, *, progress: Progress, command: str = "") -> GenerationResults:
    """Carry out a checked run of a student that writes.

    Raises:
        LimbeckError: something the caller can put right; the message says what.
    """
    folder = Path(config.output)
    with hold(folder):
        config = with_text_date(config, folder)
        rows = read_texts(config, folder if is_main() else None)
        record_run(folder, config, rows.fingerprints, progress)
        bench = set_up(config, folder, rows, progress)
        bench.progress = WholeRun(progress, _parts(bench))
        _fine_tune_teacher(bench)
        if bench.teacher is not None:
            bench.teacher.to(device())
            measure(bench, "teacher", config.seeds[0], lambda: bench.teacher)
        for seed in config.seeds:
            _train_students(bench, seed)
        return write_text_outcome(
            TextOutcome(
                config=config,
                folder=folder,
                rows=rows,
                teacher=bench.teacher,
                student=bench.new_student(config.seeds[0]),
                tokenizer=bench.student_tokenizer,
                train=bench.train_rows,
                test=bench.test,
                outputs=bench.outputs,
                answered=bench.answered,
                costs=bench.costs,
                max_length=bench.max_length,
                command=command or f"limbeck distill {folder / 'run.yaml'}",
            ),
            progress,
        )


def _fine_tune_teacher(bench: TextBench) -> None:
    """Fine-tune the teacher on the rows' completions: a stage like any other, saved and reusable."""
    training = bench.config.teacher.fine_tune
    if training is None:
        return
    (stage,) = sft().stages
    train_stage(
        bench,
        stage,
        bench.teacher,
        "teacher",
        seed=bench.config.seeds[0],
        steps=training.total_steps(len(bench.completed_rows)),
        where="teacher-sft",
        training=training,
    )


def _train_students(bench: TextBench, seed: int) -> None:
    """Make one seed's students: before training, distilled, and fine-tuned on the same budget."""
    student = bench.new_student(seed)
    student.to(device())
    start = {name: tensor.detach().cpu().clone() for name, tensor in student.state_dict().items()}
    measure(bench, "student_before", seed, lambda: student)
    if seed == bench.config.seeds[0]:
        _require_useful_teacher(bench, seed)
    teacher = _teacher(bench, bench.config.recipe.build().stages)
    for number, stage, steps in _stages(bench):
        train_stage(
            bench,
            stage,
            student,
            "distilled",
            seed=seed,
            steps=steps,
            where=f"distilled-{number:02d}-{stage.name}",
            teacher=teacher,
        )
    measure(bench, "distilled", seed, lambda: student)
    if bench.compares_fine_tuned:
        student.load_state_dict(copy.deepcopy(start))
        (stage,) = sft().stages
        total = bench.config.training.total_steps(bench.budget_rows)
        train_stage(bench, stage, student, "fine_tuned", seed=seed, steps=total, where="fine_tuned-sft")
        measure(bench, "fine_tuned", seed, lambda: student)


def _stages(bench: TextBench) -> list[tuple[int, Stage, int]]:
    """Return the recipe's stages with their numbers and optimiser steps; those without a step are left out."""
    stages, total = bench.config.recipe.build().stages, bench.config.training.total_steps(bench.budget_rows)
    ends = [round(float(share) * total) for share in np.cumsum([stage.share for stage in stages])]
    steps = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    return [(number, *one) for number, one in enumerate(zip(stages, steps, strict=True), start=1) if one[1]]


def _parts(bench: TextBench) -> list[Part]:
    """Return what the run does under a bar, in order."""
    config, stages, of_teacher = bench.config, _stages(bench), 0
    parts: list[Part] = []
    held_out, writes = len(bench.test) + len(bench.answered), len(bench.answered) > 0
    of_student = all_parameters(bench.new_student(config.seeds[0]))
    if bench.teacher is not None:
        of_teacher, training = all_parameters(bench.teacher), config.teacher.fine_tune
        if training is not None:
            title, steps = bench.title(sft().stages[0], "teacher", 0), training.total_steps(len(bench.completed_rows))
            parts.append(Part.training(title, steps, rows=training.batch_size, parameters=of_teacher))
        parts.append(Part.reading(measuring("teacher"), held_out, parameters=of_teacher, writes=writes))
    to_write = any(stage.part(TeacherWritten) is not None for _, stage, _ in stages)
    systems: dict[SystemName, list[tuple[int, Stage, int]]] = {"distilled": stages}
    if bench.compares_fine_tuned:
        systems["fine_tuned"] = [(1, sft().stages[0], config.training.total_steps(bench.budget_rows))]
    for seed in config.seeds:
        parts.append(Part.reading(measuring("student_before"), held_out, parameters=of_student, writes=writes))
        for system, its_stages in systems.items():
            for _, stage, steps in its_stages:
                if to_write and stage.part(TeacherWritten) is not None:
                    to_write, texts = False, len(bench.train_for_teacher)
                    parts.append(Part.reading("the teacher writes", texts, parameters=of_teacher, writes=True))
                title, own = bench.title(stage, system, seed), stage.sampled is not None
                rows = config.training.batch_size
                parts.append(Part.training(title, steps, rows=rows, parameters=of_student, writes=own))
            parts.append(Part.reading(measuring(system), held_out, parameters=of_student, writes=writes))
    return parts


def _teacher(bench: TextBench, stages: tuple[Stage, ...]) -> Teacher | None:
    """The teacher that terms ask: a store of its signals, or itself."""
    if not any(term.weight > 0 and term.term.needs.teacher for stage in stages for term in stage.terms):
        return None
    if bench.config.teacher.store is not None:
        return stored_teacher(bench)
    return LanguageTeacher(bench.teacher, bench.vocabulary)


def _require_useful_teacher(bench: TextBench, seed: int) -> None:
    """Refuse a teacher that has nothing to teach on these rows.

    Raises:
        ModelError: its loss on the held-out completions is not a number, near that of guessing, or above the
            untrained student's.
    """
    losses = _losses(bench.outputs, ("teacher", "student_before"), seed)
    teacher, student = losses.get("teacher"), losses.get("student_before")
    if teacher is None:
        return
    if np.isnan(teacher):
        raise ModelError(
            "the teacher's loss on the held-out completions is nan: its weights hold values that are not finite, or "
            "it overflows (teacher.precision). Check the model, or take another one"
        )
    guessing = float(np.log(bench.vocabulary or bench.teacher.config.vocab_size))
    if teacher >= 0.95 * guessing:
        raise ModelError(
            f"the teacher's loss on the held-out completions is {teacher:.2f} nats a token, and guessing among all "
            f"tokens gives {guessing:.2f}: it has learnt nothing of this language or layout. Check that the model "
            "holds trained weights and the tokenizer is its own, or fine-tune it first (teacher.fine_tune)"
        )
    if student is not None and student < teacher:
        raise ModelError(
            f"the teacher's loss on the held-out completions is {teacher:.2f} nats a token, the student's before any "
            f"training {student:.2f}: this teacher would make it worse. Check the chat template (limbeck doctor), "
            "fine-tune the teacher on the rows first (teacher.fine_tune), or take another one"
        )


def _losses(
    outputs: Mapping[SystemName, Mapping[int, Any]], names: tuple[SystemName, ...], seed: int
) -> dict[SystemName, float]:
    found: dict[SystemName, float] = {}
    for name in names:
        one = outputs.get(name, {}).get(seed)
        if one is not None and one.nll_sum_N is not None:
            found[name] = float(one.nll_sum_N.sum() / one.tokens_N.sum())
    return found
