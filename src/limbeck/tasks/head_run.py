"""A run of models with any kind of head on an encoder or decoder.

First comes the teacher, fine-tuned if requested; then for each seed the student before training, the distilled
student, and the baselines, from the same start and with the same steps. `limbeck.tasks.head_coder.Coder` is the part
specific to a kind of head.
"""

from __future__ import annotations

import math
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.measured import Measured, Score
from limbeck.losses.term import needs_of
from limbeck.models.layers import depth, shapes, width
from limbeck.models.padding import padding_of
from limbeck.ranks import device
from limbeck.results.record import Results, StageCost
from limbeck.results.sections import Adapter
from limbeck.sequences.fixed import FixedSequences
from limbeck.stages.early_stopping import Judge, Judgement
from limbeck.stages.layer_similarity import measure_similarity, sampled
from limbeck.stages.pipeline import StageRun
from limbeck.students.adapters import all_parameters
from limbeck.tasks.head_coder import Array, Coded
from limbeck.tasks.head_config import HeadTraining
from limbeck.tasks.head_context import HeadContext, UsedModel, make_student
from limbeck.tasks.head_importance import head_importance
from limbeck.tasks.head_outcome import export_student, results_of
from limbeck.tasks.head_signals import SIGNALS_TITLE, stored_signals
from limbeck.tasks.head_systems import sequences_of, systems_of
from limbeck.tasks.kept import kept_array
from limbeck.tasks.layer_similarity import layer_map, with_similarity
from limbeck.tasks.record import described, last_stage
from limbeck.tasks.task import Part, PlannedStage, System, predicting
from limbeck.teachers.local import LocalTeacher
from limbeck.types import Batch, Progress, Shapes, Teacher

__all__ = ["HeadRun"]


class HeadRun:
    """One run; see `limbeck.tasks.task.TaskRun`."""

    def __init__(self, context: HeadContext, progress: Progress) -> None:
        self.context = context
        self.progress = progress
        self.costs: dict[str, StageCost] = {}
        self._outputs: dict[str, dict[int, Array]] = {}
        """Outputs for the held-out rows, by system and seed."""
        self._adapter: Adapter | None = None

    def systems(self, seed: int) -> list[System]:
        """Return the teacher with the first seed, the student before training, and all that are trained from it."""
        return systems_of(self.context, seed)

    def parts(self, system: System, seed: int) -> list[Part]:
        """Return a part for each stage, one for the held-out rows, and the teacher's for the training rows."""
        used = self._used(system)
        if used is None:
            return []
        size = all_parameters(used.model)
        parts = [Part.training(p.title, p.steps, rows=p.training.batch_size, parameters=size) for p in system.stages]
        parts.append(Part.reading(predicting(system.shown), len(used.test.inputs.lengths), parameters=size))
        if system.role == "teacher" and self._needs_signals:
            parts.append(Part.reading(SIGNALS_TITLE, len(used.train.inputs.lengths), parameters=size))
        return parts

    def _used(self, system: System) -> UsedModel | None:
        return self.context.teacher if system.role == "teacher" else self.context.student

    @cached_property
    def _needs_signals(self) -> bool:
        return any(recipe.build().needs.teacher for recipe in self.context.recipes.values())

    def model(self, system: System, seed: int) -> Any:
        """Return the teacher, or this seed's student before any training."""
        if system.role == "teacher":
            return None if self.context.teacher is None else self.context.teacher.model
        return self._new_student(seed).to(device())

    def _new_student(self, seed: int, *, whole: bool = False) -> Any:
        """Return a seed's student before training, once the teacher is trained; `whole`: before it is pruned."""
        context = self.context
        teacher = None if context.teacher is None else context.teacher.model
        config, importance = context.config, None if whole else head_importance(context, self.progress)
        if whole:
            config = config.model_copy(update={"student": config.student.unpruned})
        return make_student(config, context.coder, teacher, context.student.tokenizer, seed, importance)

    def stage(self, system: System, planned: PlannedStage, seed: int, model: Any) -> StageRun:
        """Return the rows of a stage in order, and the source of their signals."""
        context, teacher, used = self.context, self.context.teacher, self._used(system)
        assert used is not None
        needs = needs_of(planned.stage.terms)
        return StageRun(
            folder=context.folder / "stages" / planned.folder,
            log=context.folder / "log.jsonl",
            system=system.name,
            seed=seed,
            training=planned.training,
            sequences=FixedSequences(
                rows=sequences_of(context, planned.stage, used.train, taught=needs.teacher),
                lengths=used.train.inputs.lengths,
                batch_size=planned.training.batch_size,
                steps=planned.steps,
                seed=seed,
            ),
            make_batch=_batches(used, teacher if needs.teacher_inside else None),
            progress=self.progress,
            title=planned.title,
            tokenizer=used.tokenizer,
            shapes=self._pair(model) if system.role == "teacher" else self._measured_pair,
            teacher=self._signals if needs.teacher else None,
            readout=context.coder.readout,
            unpruned=partial(self._new_student, seed, whole=True),
            judge=self._judge(system, planned, seed),
        )

    def _judge(self, system: System, planned: PlannedStage, seed: int) -> Judge | None:
        """Return how a stage is judged on development rows, if it is: by the verdict's metric."""
        training, used = planned.training, self._used(system)
        if not isinstance(training, HeadTraining) or training.early_stopping is None or planned.stage.only_hints:
            return None
        assert used is not None
        coded = self._dev if used is self.context.student else self._dev_of(used)
        told = described(system)

        def measure(model: Any) -> Judgement:
            outputs = {told.name: {seed: coded.predict(model)}}
            found = Score.of(self.context.coder.measure([told], outputs, "dev"), told.name)
            value = math.nan if found.value is None else found.value
            return Judgement(value if found.metric.higher_is_better else -value, {found.metric.key: value})

        return Judge(training.early_stopping, measure)

    def _pair(self, model: Any) -> Shapes:
        teacher = self.context.teacher
        return Shapes(0, 0, depth(model), width(model)) if teacher is None else shapes(teacher.model, model)

    @cached_property
    def _measured_pair(self) -> Shapes:
        """Shapes of teacher and student, with the similarity of their layers if a recipe reads it."""
        context, pair = self.context, self._pair(self.context.student.model)
        return with_similarity(context.config, pair, context.folder, self._similarity, self.progress)

    def _similarity(self) -> Array:
        """Compare the layers of the first seed's student before training with those of the teacher."""
        context, used, teacher = self.context, self.context.student, self.context.teacher
        assert teacher is not None
        return measure_similarity(
            # Not the student of the context, whose layers may be copies of those of a teacher not yet fine-tuned.
            self._new_student(context.config.seeds[0]),
            LocalTeacher(teacher.model),
            readout=self.context.coder.readout,
            shapes=self._pair(used.model),
            rows=sampled(self._sequences),
            make_batch=_batches(used, teacher),
            progress=self.progress,
        )

    @cached_property
    def _signals(self) -> Teacher:
        """The teacher's signals for the training rows, computed once."""
        return stored_signals(self.context, self.costs, self.progress)

    def measure(self, system: System, seed: int, model: Any) -> None:
        """Predict the held-out rows with a system; the teacher then also gives its signals for the training rows."""
        used, coder = self._used(system), self.context.coder
        if used is None:
            answers = coder.answers("test")
            assert answers is not None
            self._outputs[system.name] = {seed: answers}
            return
        if system.role == "teacher":
            model.to(device())
            if self.context.config.teacher.fine_tune is not None:
                coder.finish(model)
        self._outputs.setdefault(system.name, {})[seed] = self._predicted(system, seed, model, used)
        if system.role == "teacher" and self._needs_signals:
            _ = self._signals  # before any student is trained

    def _predicted(self, system: System, seed: int, model: Any, used: UsedModel) -> Array:
        name = f"predictions/{system.name}-seed{seed}.npy"
        return kept_array(self.context.folder, name, lambda: self._outputs_of(system, model, used.test), self.progress)

    def _outputs_of(self, system: System, model: Any, coded: Coded) -> Array:
        with self.progress.track(predicting(system.shown), len(coded.inputs.lengths)) as update:
            return coded.predict(model, update=update)

    @cached_property
    def _dev(self) -> Coded:
        """The development rows as students read them."""
        return self._dev_of(self.context.student)

    def _dev_of(self, used: UsedModel) -> Coded:
        """Return the development rows as a model reads them."""
        padding = padding_of(used.model, used.tokenizer)
        return self.context.coder.encode("dev", used.tokenizer, self.context.max_length, padding)

    def score(self, system: System, seed: int, model: Any) -> Measured:
        """Measure a student on the development rows."""
        outputs = {system.name: {seed: self._outputs_of(system, model, self._dev)}}
        return self.context.coder.measure([described(system)], outputs, "dev")

    def export(self, part: Path) -> None:
        """Write the first seed's distilled student."""
        weights = last_stage(self.context.folder, self.costs, self.context.config.seeds[0])
        self._adapter = export_student(self.context, weights, part)

    def compare(self, command: str) -> Results:
        """Return all figures."""
        self.progress.log("measuring size and speed, and comparing the systems")
        systems = self.systems(self.context.config.seeds[0])
        costs = list(self.costs.values())
        sections = [self._adapter, layer_map(self.context.config, self._measured_pair, self._sequences)]
        return results_of(self.context, systems, self._outputs, costs, sections, command)

    @property
    def _sequences(self) -> int:
        return len(self.context.student.train.inputs.lengths)


def _batches(used: UsedModel, teacher: UsedModel | None) -> Any:
    """Return a function that builds batches of training sequences, with the same ones for a live teacher."""

    def make_batch(sequences: NDArray[np.int64]) -> Batch:
        batch = used.train.batch(sequences)
        if teacher is not None:
            batch["teacher"] = teacher.train.inputs.batch(sequences)
        return batch

    return make_batch
