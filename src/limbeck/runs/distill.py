"""A classification run from beginning to end: the step-by-step flow of `limbeck distill`.

Cross-lingual runs are in `limbeck.runs.languages`.

    rows -> teacher (fine-tuned first, if asked) -> its signals -> for each seed: student before,
    distilled student, same-budget fine-tuned student -> figures -> report and student folder

Every step leaves its work in the run folder and finds it there again, so a run that was killed at any
moment goes on with the same command.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from limbeck.generation_results import GenerationResults
from limbeck.language_results import LanguageResults
from limbeck.models.load import frozen_fingerprint
from limbeck.ranks import device, is_main, require_data_parallel
from limbeck.recipes.catalogue import build_recipe
from limbeck.results import Results, SystemName
from limbeck.runs.bench import Bench, ModelTeacher, predicting, set_up
from limbeck.runs.calibrate import dev_labels
from limbeck.runs.config import AnyRun, RunConfig, run_config
from limbeck.runs.folder import hold, record_run
from limbeck.runs.label_order import check_label_order, labelled_by_teacher, order_is_open
from limbeck.runs.language_config import LanguageRunConfig
from limbeck.runs.languages import run_languages
from limbeck.runs.outcome import write_outcome
from limbeck.runs.prepare import budget_steps, compares_fine_tuned, read_rows, require_labels
from limbeck.runs.signals import keeps_signals, require_fitting, teacher_signals
from limbeck.runs.student import make_student
from limbeck.runs.template_dates import with_label_dates
from limbeck.runs.text_config import TextRunConfig
from limbeck.runs.whole_run import Part, WholeRun
from limbeck.stages.stage import Stage
from limbeck.students.adapters import all_parameters
from limbeck.teachers.local import LocalTeacher
from limbeck.teachers.stored import StoredTeacher
from limbeck.types import Progress, SilentProgress

__all__ = ["distill", "run"]


def distill(*, progress: Progress | None = None, **sections: Any) -> Results | LanguageResults | GenerationResults:
    """Distil a teacher into a student; the same words as a run file, as keyword arguments.

    Args:
        progress: shows how far it is; silent by default.
        **sections: ``task``, ``data``, ``teacher``, ``student``, ``recipe``, ``training``, ``seeds``,
            ``compare_fine_tuned``, ``output``, as mappings or as the section objects of
            `limbeck.runs.config`; those of a cross-lingual run are in `limbeck.runs.language_config`.

    Returns:
        All figures of the run. Student and report are in the folder `output`.

    Raises:
        LimbeckError: something the caller can put right; the message says what.

    Example:
        >>> limbeck.distill(  # doctest: +SKIP
        ...     data={"train": "tickets.jsonl"},
        ...     teacher={"model": "org/encoder", "fine_tune": {"epochs": 3}},
        ...     student={"from_teacher": {"layers": "spread", "keep": 3}},
        ...     recipe={"name": "word_level_kd", "label_weight": 0},
        ...     output="runs/tickets",
        ... )
    """
    return run(run_config(sections), progress=progress or SilentProgress())


def run(config: AnyRun, *, progress: Progress, command: str = "") -> Results | LanguageResults | GenerationResults:
    """Carry out a checked run of either kind; see `distill`."""
    require_data_parallel()
    if isinstance(config, LanguageRunConfig):
        return run_languages(config, progress=progress, command=command)
    if isinstance(config, TextRunConfig):
        from limbeck.runs.texts import run_texts

        return run_texts(config, progress=progress, command=command)
    return _distill_classifier(config, progress=progress, command=command)


def _distill_classifier(config: RunConfig, *, progress: Progress, command: str) -> Results:
    folder = Path(config.output)
    stages = config.recipe.stages()
    with hold(folder):
        rows = read_rows(config, folder if is_main() else None)
        require_labels(config, stages, rows)
        config = with_label_dates(config, folder)
        record_run(folder, config, rows.fingerprints, progress)
        if rows.dev is not None:
            dev_labels(rows.dev, rows.labels)
        bench = set_up(config, folder, rows, progress)
        require_fitting(bench, stages)
        bench.progress = WholeRun(progress, _parts(bench, stages))
        _prepare_teacher(bench)
        teacher = teacher_signals(bench, stages)
        for seed in config.seeds:
            _train_students(bench, stages, teacher, seed)
        return write_outcome(bench, command or f"limbeck distill {folder / 'run.yaml'}")


def _prepare_teacher(bench: Bench) -> None:
    """Fine-tune a pretrained teacher on the labelled rows, if asked, and take its word on the held-out rows."""
    seed = bench.config.seeds[0]
    if not isinstance(bench.teacher, ModelTeacher):
        if (logits := bench.teacher.test_logits()) is not None:
            bench.logits["teacher"] = {seed: logits}
        return
    teacher, training = bench.teacher.model, bench.config.teacher.fine_tune
    if training is not None:
        (stage,) = build_recipe("fine_tune", {})
        steps = training.total_steps(bench.rows.labelled)
        bench.run(stage, model=teacher, system="teacher", seed=seed, steps=steps, number=1, training=training)
    teacher.to(device())
    if order_is_open(bench.config):  # before anything is kept that would bind the folder to these labels
        given, gold = labelled_by_teacher(teacher, bench.teacher.tokenizer, bench.rows, bench.max_length)
        bench.warnings = check_label_order(bench.config, bench.rows.labels, given, gold)
    bench.predict("teacher", seed, teacher)


def _train_students(
    bench: Bench, stages: list[Stage], teacher: StoredTeacher | LocalTeacher | None, seed: int
) -> None:
    """Train this seed's students from one and the same start: by the recipe, and by labels alone."""
    config, rows = bench.config, bench.rows
    of_teacher = bench.teacher.model if isinstance(bench.teacher, ModelTeacher) else None
    student = bench.student = make_student(config, of_teacher, bench.tokenizer, rows.labels, seed)
    start, frozen = copy.deepcopy(student.state_dict()), frozen_fingerprint(student)
    student.to(device())
    bench.predict("student_before", seed, student)
    total = budget_steps(config, rows, int(bench.taught.sum()))
    for number, (stage, steps) in enumerate(zip(stages, _split_steps(stages, total), strict=True), start=2):
        bench.run(stage, model=student, system="distilled", seed=seed, steps=steps, number=number, teacher=teacher)
    bench.predict("distilled", seed, student)
    distilled, number = copy.deepcopy(student.state_dict()), len(stages) + 2
    for system, control in _controls(bench, stages).items():
        student.load_state_dict(start)
        signals = None if system == "fine_tuned" else teacher
        for stage, steps in zip(control, _split_steps(control, total), strict=True):
            bench.run(stage, model=student, system=system, seed=seed, steps=steps, number=number, teacher=signals)
            number += 1
        bench.predict(system, seed, student)
    student.load_state_dict(distilled)
    assert config.student.adapter is None or frozen_fingerprint(student) == frozen, "frozen weights were trained"


def _controls(bench: Bench, stages: list[Stage]) -> dict[SystemName, list[Stage]]:
    """Return the stages of the systems that the distilled student is compared with."""
    controls: dict[SystemName, list[Stage]] = {}
    if compares_fine_tuned(bench.config, bench.rows):
        controls["fine_tuned"] = build_recipe("fine_tune", {})
    if bench.config.compare_random_order and any(stage.curriculum is not None for stage in stages):
        controls["random_order"] = [replace(stage, curriculum=None) for stage in stages]
    return controls


def _parts(bench: Bench, stages: list[Stage]) -> list[Part]:
    """Return what the run does under a bar, in order."""
    config, rows, held_out = bench.config, bench.rows, len(bench.rows.test)
    of_student = all_parameters(bench.student)
    parts: list[Part] = []
    if isinstance(bench.teacher, ModelTeacher):
        of_teacher, training = all_parameters(bench.teacher.model), config.teacher.fine_tune
        if training is not None:
            title = bench.title(build_recipe("fine_tune", {})[0], "teacher", config.seeds[0])
            steps = training.total_steps(rows.labelled)
            parts.append(Part.training(title, steps, rows=training.batch_size, parameters=of_teacher))
        parts.append(Part.reading("predicting: teacher", held_out, parameters=of_teacher))
        if keeps_signals(bench, stages):
            parts.append(Part.reading("teacher signals", len(rows.train), parameters=of_teacher))
    total = budget_steps(config, rows, int(bench.taught.sum()))
    systems: dict[SystemName, list[Stage]] = {"distilled": stages, **_controls(bench, stages)}
    for seed in config.seeds:
        parts.append(Part.reading("predicting: student before", held_out, parameters=of_student))
        for system, its_stages in systems.items():
            for stage, steps in zip(its_stages, _split_steps(its_stages, total), strict=True):
                title = bench.title(stage, system, seed)
                parts.append(Part.training(title, steps, rows=config.training.batch_size, parameters=of_student))
            parts.append(Part.reading(predicting(system), held_out, parameters=of_student))
    return parts


def _split_steps(stages: list[Stage], total: int) -> list[int]:
    """Split the budget by the stages' shares; the parts add up to `total`, the budget of every system."""
    ends = [round(total * sum(stage.share for stage in stages[: i + 1])) for i in range(len(stages))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]
