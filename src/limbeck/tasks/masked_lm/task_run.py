"""Masked language modelling behind the protocols of `limbeck.tasks.task`: its systems, stages and figures.

First comes the teacher, trained on the texts if requested; then for each seed the student before training, the
distilled student, and its baselines from the same start and with the same steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.masked.encode import MaskedTexts
from limbeck.errors import ModelError
from limbeck.evaluation.generation.outputs import SystemOutputs
from limbeck.evaluation.masked import masked_sums, measure_masked
from limbeck.evaluation.measured import Measured
from limbeck.losses.readout import MaskedReadout
from limbeck.losses.term import needs_of
from limbeck.models.layers import shapes
from limbeck.ranks import device
from limbeck.recipes.fine_tune import fine_tune
from limbeck.results.record import Results, StageCost
from limbeck.sequences.fixed import FixedSequences
from limbeck.sequences.passes import NumberedPasses
from limbeck.stages.early_stopping import Judge, Judgement
from limbeck.stages.pipeline import StageRun
from limbeck.students.adapters import all_parameters
from limbeck.tasks.baselines import MAIN, STUDENT_INIT, TEACHER, system_of
from limbeck.tasks.kept_outputs import kept_outputs
from limbeck.tasks.masked_lm.config import MaskedTraining
from limbeck.tasks.masked_lm.context import Context
from limbeck.tasks.masked_lm.measure import compare_systems, write_student
from limbeck.tasks.masked_lm.usefulness import mean_loss, useless_teacher
from limbeck.tasks.planned_stages import planned_stages
from limbeck.tasks.record import described, last_stage
from limbeck.tasks.task import Part, PlannedStage, System, predicting
from limbeck.teachers.language_model import LanguageTeacher
from limbeck.types import Progress, Teacher

__all__ = ["MaskedRun"]


class MaskedRun:
    """One run; see `limbeck.tasks.task.TaskRun`."""

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
        """The teacher of the terms, which reads the same masked texts as the student."""
        return LanguageTeacher(self.context.teacher, self.context.vocabulary)

    def systems(self, seed: int) -> list[System]:
        """Return the teacher with the first seed, the student before training, and all that are trained from it."""
        config, recipes, copied = self.config, self.config.recipes(), self.config.student.of_teacher
        found = [System(STUDENT_INIT, "student_init", title="Student before training", copied=copied)]
        if seed == config.seeds[0]:
            teacher = System(TEACHER, "teacher", title="Teacher")
            found.insert(0, replace(teacher, stages=tuple(self._of_teacher(teacher, seed))))
        total = config.training.total_steps(len(self.context.train))
        for name, recipe in recipes.items():
            # The folders of a baseline do not depend on the other baselines.
            number = 2 if name == MAIN else 2 + len(recipes[MAIN].build().stages)
            system = system_of(name, recipe, config.recipe)
            planned = planned_stages(config, system, recipe.build().stages, total, seed=seed, number=number)
            found.append(replace(system, stages=tuple(planned)))
        return found

    def _of_teacher(self, teacher: System, seed: int) -> Iterator[PlannedStage]:
        if (training := self.config.teacher.fine_tune) is not None:
            total = training.total_steps(len(self.context.train))
            yield from planned_stages(self.config, teacher, fine_tune().stages, total, seed=seed, number=1)

    def parts(self, system: System, seed: int) -> list[Part]:
        """Return a part for each stage, and one for the held-out texts."""
        size = all_parameters(self.context.teacher) if system.role == "teacher" else self._student_size
        parts = [Part.training(p.title, p.steps, rows=p.training.batch_size, parameters=size) for p in system.stages]
        return [*parts, Part.reading(predicting(system.shown), len(self.context.test), parameters=size)]

    @cached_property
    def _student_size(self) -> int:
        return all_parameters(self.context.new_student(self.config.seeds[0]))

    def model(self, system: System, seed: int) -> Any:
        """Return the teacher, or this seed's student before any training."""
        context = self.context
        model = context.teacher if system.role == "teacher" else context.new_student(seed, context.importance())
        return model.to(device())

    def stage(self, system: System, planned: PlannedStage, seed: int, model: Any) -> StageRun:
        """Return the texts of a stage in order, with new masks in each pass, and the source of signals.

        A stage that trains only states inside the models reads whole texts: masks would only take words from them.
        """
        context, training, stage = self.context, planned.training, planned.stage
        of_teacher = system.role == "teacher"
        encoded = context.train.read_by("teacher" if of_teacher else "student", seed)
        plan = FixedSequences(np.arange(len(encoded)), encoded.lengths, training.batch_size, planned.steps, seed)
        return StageRun(
            folder=context.folder / "stages" / planned.folder,
            log=context.folder / "log.jsonl",
            system=system.name,
            seed=seed,
            training=training,
            sequences=NumberedPasses(plan),
            make_batch=partial(encoded.batch, masks=not stage.only_hints),
            progress=context.progress,
            title=planned.title,
            tokenizer=context.tokenizer,
            shapes=shapes(model, model) if of_teacher else context.measured_pair,
            teacher=self.teacher if needs_of(stage.terms).teacher else None,
            readout=MaskedReadout(context.vocabulary),
            unpruned=partial(context.new_student, seed, whole=True),
            judge=None if stage.only_hints else self._judge(training),
        )

    def _judge(self, training: Any) -> Judge | None:
        """Return how a stage is judged on development texts, if it is: by the loss per masked token."""
        dev = self.context.dev
        if not isinstance(training, MaskedTraining) or training.early_stopping is None:
            return None
        assert dev is not None

        def measure(model: Any) -> Judgement:
            loss = mean_loss(masked_sums(model, dev, vocabulary=self.context.vocabulary, update=lambda rows: None))
            return Judgement(-loss, {"loss": loss})

        return Judge(training.early_stopping, measure)

    def measure(self, system: System, seed: int, model: Any) -> None:
        """Measure a system on the held-out texts; a teacher must be of use to the student."""
        context = self.context
        name = f"predictions/{system.name}-seed{seed}.json"
        teacher = None if system.role == "teacher" else context.teacher
        found = kept_outputs(
            context.folder, name, lambda: self._sums(system, model, context.test, teacher), context.progress
        )
        context.outputs.setdefault(system.name, {})[seed] = found
        if system.role == "student_init" and seed == self.config.seeds[0] and context.teaches:
            losses = mean_loss(context.outputs[TEACHER][seed]), mean_loss(found)
            if (fault := useless_teacher(*losses, context.vocabulary, copied=system.copied)) is not None:
                raise ModelError(fault)

    def _sums(self, system: System, model: Any, texts: MaskedTexts, teacher: Any) -> SystemOutputs:
        with self.progress.track(predicting(system.shown), len(texts)) as update:
            if teacher is not None:
                teacher = teacher.to(device())
            return masked_sums(model, texts, teacher=teacher, vocabulary=self.context.vocabulary, update=update)

    def score(self, system: System, seed: int, model: Any) -> Measured:
        """Measure a trial on the development texts, as the main system."""
        assert self.context.dev is not None
        found = self._sums(system, model, self.context.dev, None)
        return measure_masked([described(replace(system, role="main"))], {system.name: {seed: found}})

    def export(self, part: Path) -> None:
        """Write the first seed's distilled student."""
        self._exported = self.context.new_student(self.config.seeds[0])
        weights = last_stage(self.context.folder, self.costs, self.config.seeds[0])
        write_student(self.context, self._exported, weights, part)

    def compare(self, command: str) -> Results:
        """Return all figures."""
        systems, costs = self.systems(self.config.seeds[0]), list(self.costs.values())
        return compare_systems(self.context, systems, self._exported, costs, command)
