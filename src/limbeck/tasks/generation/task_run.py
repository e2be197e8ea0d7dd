"""Generation behind the protocols of `limbeck.tasks.task`: its systems, their starts, stages and answers.

First comes the teacher, fine-tuned if requested; then for each seed the student before training, the distilled
student, and its baselines from the same start and with the same steps. The teacher's texts, and the store
of its signals, are read when the first stage needs them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.errors import ModelError
from limbeck.evaluation.measured import Measured
from limbeck.evaluation.verdicts.outcome import in_prose
from limbeck.evaluation.writing import Writer, measure_writing
from limbeck.losses.term import needs_of
from limbeck.ranks import device
from limbeck.recipes.fine_tune import fine_tune
from limbeck.results.record import Results, StageCost
from limbeck.sequences.given import TeacherWritten
from limbeck.stages.pipeline import StageRun, stage_title
from limbeck.stages.stage import Stage
from limbeck.students.adapters import all_parameters
from limbeck.tasks.baselines import STUDENT_INIT, TEACHER, system_of, trained
from limbeck.tasks.generation.answers import measure, measure_dev, measuring
from limbeck.tasks.generation.config import TextTraining
from limbeck.tasks.generation.context import Context
from limbeck.tasks.generation.importance import writer_importance
from limbeck.tasks.generation.measure import compare_systems, held_out_texts, write_student
from limbeck.tasks.generation.store import stored_teacher
from limbeck.tasks.generation.training import stage_run
from limbeck.tasks.record import described, last_stage
from limbeck.tasks.task import Part, PlannedStage, System
from limbeck.teachers.language_model import LanguageTeacher
from limbeck.types import Progress, Teacher

__all__ = ["TextRun"]


class TextRun:
    """One generation run; see `limbeck.tasks.task.TaskRun`."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.config = context.config
        self.costs: dict[str, StageCost] = {}
        self._exported: Any = None

    @property
    def progress(self) -> Progress:
        """Shows the progress of the run."""
        return self.context.progress

    @progress.setter
    def progress(self, progress: Progress) -> None:
        self.context.progress = progress

    @cached_property
    def teacher(self) -> Teacher:
        """The teacher of the terms: a store of its signals, or the model."""
        if self.config.teacher.store is not None:
            return stored_teacher(self.context)
        return LanguageTeacher(self.context.teacher, self.context.vocabulary)

    def systems(self, seed: int) -> list[System]:
        """Return the teacher with the first seed, the student before training, and all that are trained from it."""
        found = [System(STUDENT_INIT, "student_init", title="Student before training")]
        if seed == self.config.seeds[0] and self.context.teacher is not None:
            teacher = System(TEACHER, "teacher", title="Teacher")
            found.insert(0, replace(teacher, stages=tuple(self._of_teacher(teacher, seed))))
        for name, recipe in trained(self.config.recipes(), len(self.context.completed_rows)).items():
            system = system_of(name, recipe, self.config.recipe)
            found.append(replace(system, stages=tuple(self._planned(system, recipe.build().stages, seed))))
        return found

    def _of_teacher(self, system: System, seed: int) -> Iterator[PlannedStage]:
        training = self.config.teacher.fine_tune
        if training is not None:
            (stage,), steps = fine_tune().stages, training.total_steps(len(self.context.completed_rows))
            yield self._stage(system, stage, f"teacher-{stage.name}-seed{seed}", steps, seed, training)

    def _planned(self, system: System, stages: tuple[Stage, ...], seed: int) -> Iterator[PlannedStage]:
        """Split the budget, the same for every system, by the stages' shares; those without a step are left out."""
        training = self.config.training
        total = training.total_steps(self.context.budget_rows)
        ends = [round(float(share) * total) for share in np.cumsum([stage.share for stage in stages])]
        for number, (stage, begin, end) in enumerate(zip(stages, [0, *ends], ends, strict=False), start=1):
            if end > begin:
                folder = f"{system.name}-{number:02d}-{stage.name}-seed{seed}"
                yield self._stage(system, stage, folder, end - begin, seed, training)

    def _stage(
        self, system: System, stage: Stage, folder: str, steps: int, seed: int, training: TextTraining
    ) -> PlannedStage:
        seeds = len(self.config.seeds) > 1 and system.role != "teacher"
        return PlannedStage(
            stage,
            steps=steps,
            folder=folder,
            training=stage.training(training),
            title=stage_title(stage, in_prose(system.title), seed if seeds else None),
        )

    def parts(self, system: System, seed: int) -> list[Part]:
        """Return a part for each stage, one for the held-out rows, and one for texts that the teacher generates."""
        context, parts = self.context, []
        size = all_parameters(context.teacher) if system.role == "teacher" else self._student_size
        for one in system.stages:
            if any(map(one.folder.startswith, self._before_written)):
                of_teacher, texts = all_parameters(context.teacher), len(context.train_for_teacher)
                parts.append(Part.reading("the teacher writes", texts, parameters=of_teacher, writes=True))
            rows, own = one.training.batch_size, one.stage.sampled is not None
            parts.append(Part.training(one.title, one.steps, rows=rows, parameters=size, writes=own))
        held_out, writes = len(context.test) + len(context.answered), len(context.answered) > 0
        return [*parts, Part.reading(measuring(system.shown), held_out, parameters=size, writes=writes)]

    @cached_property
    def _student_size(self) -> int:
        return all_parameters(self.context.new_student(self.config.seeds[0]))

    @cached_property
    def _before_written(self) -> set[str]:
        """Folders of the stages that are the first to read texts of the teacher, which are generated then."""
        stages = [planned for system in self.systems(self.config.seeds[0]) for planned in system.stages]
        first = {planned.stage.part(TeacherWritten): planned.folder for planned in reversed(stages)}
        return {folder for source, folder in first.items() if source is not None}

    def model(self, system: System, seed: int) -> Any:
        """Return the teacher, or this seed's student before any training."""
        context = self.context
        model = context.teacher if system.role == "teacher" else context.new_student(seed, writer_importance(context))
        return model.to(device())

    def stage(self, system: System, planned: PlannedStage, seed: int, model: Any) -> StageRun:
        """Return the rows of a stage in order, the generator of texts while it runs, and the source of signals."""
        asked = any(needs_of(one.stage.terms).teacher for one in system.stages)
        return stage_run(self.context, system, planned, seed, model, self.teacher if asked else None)

    def measure(self, system: System, seed: int, model: Any) -> None:
        """Measure a system on the held-out rows; a teacher must do better than the student before training."""
        measure(self.context, system.name, seed, model)
        if system.role == "student_init" and seed == self.config.seeds[0]:
            _require_useful_teacher(self.context, seed)

    def score(self, system: System, seed: int, model: Any) -> Measured:
        """Measure a student on the development rows, as the main one."""
        context = self.context
        assert context.dev is not None
        writer = Writer(
            described(replace(system, role="main")), {seed: measure_dev(context, system.shown, seed, model)}
        )
        return measure_writing([writer], held_out_texts(context, context.dev), metrics=self.config.answers.metrics)

    def export(self, part: Path) -> None:
        """Write the first seed's distilled student."""
        self._exported = self.context.new_student(self.config.seeds[0])
        weights = last_stage(self.context.folder, self.costs, self.config.seeds[0])
        write_student(self.context, self._exported, weights, part)

    def compare(self, command: str) -> Results:
        """Return all figures."""
        systems, costs = self.systems(self.config.seeds[0]), list(self.costs.values())
        return compare_systems(self.context, systems, self._exported, costs, command)


def _require_useful_teacher(context: Context, seed: int) -> None:
    """Refuse a teacher that has nothing to teach on these rows.

    Raises:
        ModelError: its loss on the held-out completions is not finite, near that of guessing, or above the untrained
            student's.
    """
    losses = _losses(context.outputs, (TEACHER, STUDENT_INIT), seed)
    teacher, student = losses.get(TEACHER), losses.get(STUDENT_INIT)
    if teacher is None:
        return
    if np.isnan(teacher):
        raise ModelError(
            "the teacher's loss on the held-out completions is nan: its weights hold values that are not finite, or "
            "it overflows (teacher.precision). Check the model, or take another one"
        )
    guessing = float(np.log(context.vocabulary or context.teacher.config.vocab_size))
    if teacher >= 0.95 * guessing:
        raise ModelError(
            f"the teacher's loss on the held-out completions is {teacher:.2f} nats a token, and guessing among all "
            f"tokens gives {guessing:.2f}: it has learnt nothing about this language or layout. Check that the model "
            "holds trained weights and the tokenizer is its own, or fine-tune it first (teacher.fine_tune)"
        )
    if student is not None and student < teacher:
        raise ModelError(
            f"the teacher's loss on the held-out completions is {teacher:.2f} nats a token, the student's before any "
            f"training {student:.2f}: this teacher would make it worse. Check the chat template (limbeck doctor), "
            "fine-tune the teacher on the rows first (teacher.fine_tune), or take another one"
        )


def _losses(outputs: Mapping[str, Mapping[int, Any]], names: tuple[str, ...], seed: int) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in names:
        one = outputs.get(name, {}).get(seed)
        if one is not None and one.nll_sum_N is not None:
            found[name] = float(one.nll_sum_N.sum() / one.tokens_N.sum())
    return found
