"""Classification behind the protocols of `limbeck.tasks.task`: its systems, their starts, stages and predictions.

First comes the teacher, fine-tuned if requested, and what is simpler than any student; then for each seed the student
before training, the distilled student, and its baselines, from the same start and with the same steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.encode import Encoded
from limbeck.data.prompts.scored import encode_for
from limbeck.data.tasks import label_ids
from limbeck.evaluation.classification import Classified, HeldOut, measure_classification
from limbeck.evaluation.measured import Measured
from limbeck.evaluation.predict import softmax
from limbeck.losses.term import needs_of
from limbeck.models.load import frozen_fingerprint
from limbeck.ranks import device
from limbeck.results.record import Results, StageCost
from limbeck.sequences.curriculum import Curriculum, CurriculumSequences, difficulty, nested_parts
from limbeck.stages.early_stopping import Judge
from limbeck.stages.fit_head import spread_rows
from limbeck.stages.pipeline import StageRun
from limbeck.students.adapters import all_parameters
from limbeck.tasks.baselines import FROZEN, MAIN, STUDENT_INIT, TEACHER, system_of, trained
from limbeck.tasks.classification.calibrate import fit_on_dev_rows
from limbeck.tasks.classification.context import Context, ModelTeacher
from limbeck.tasks.classification.label_order import check_label_order, labelled_by_teacher, order_is_open
from limbeck.tasks.classification.measure import Exported, compare_systems, write_student
from limbeck.tasks.classification.memory_of_rows import give_memory
from limbeck.tasks.classification.outer import quiz_and_learned, teacher_training
from limbeck.tasks.classification.recipe_stages import dev_judge, given_sequences, recipe_stages
from limbeck.tasks.classification.rows import budget_steps
from limbeck.tasks.classification.signals import keeps_signals, teacher_signals
from limbeck.tasks.classification.simple_baselines import READING, SIMPLE_SYSTEMS, answer_simply, rows_to_read
from limbeck.tasks.classification.training_config import ClassifierTraining
from limbeck.tasks.planned_stages import planned_stages
from limbeck.tasks.record import described
from limbeck.tasks.task import Part, PlannedStage, System, predicting
from limbeck.teachers.local import LocalTeacher
from limbeck.teachers.stored import StoredTeacher
from limbeck.types import Progress

__all__ = ["ClassifierRun"]


class ClassifierRun:
    """One classification run; see `limbeck.tasks.task.TaskRun`."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.config = context.config
        self._frozen: str | None = None
        self._exported: Exported | None = None

    @property
    def progress(self) -> Progress:
        """Shows the progress of the run."""
        return self.context.progress

    @progress.setter
    def progress(self, progress: Progress) -> None:
        self.context.progress = progress

    @property
    def costs(self) -> dict[str, StageCost]:
        """Cost of each stage."""
        return self.context.costs

    @cached_property
    def signals(self) -> StoredTeacher | LocalTeacher | None:
        """The teacher's signals for the training rows."""
        return teacher_signals(self.context)

    def systems(self, seed: int) -> list[System]:
        """Return the student before training, and all that are trained from it; before, with the first seed, the rest.

        That is the teacher, and the simple baselines, which may learn its labels.
        """
        found = []
        if seed == self.config.seeds[0]:
            teacher = System(TEACHER, "teacher", title="Teacher")
            found.append(replace(teacher, stages=tuple(self._of_teacher(teacher, seed))))
            found += SIMPLE_SYSTEMS if self.config.simple_baselines else ()
        found.append(
            System(
                STUDENT_INIT,
                "student_init",
                title="Student before training",
                copied=self.config.student.of_teacher,
            )
        )
        first = 1 + len(self.config.teacher.recipe.build().stages)
        total = budget_steps(self.config, self.context.rows, int(self.context.taught.sum()))
        for name, recipe in trained(self.config.recipes(), self.context.rows.labelled).items():
            # The folders of a baseline do not depend on the other baselines.
            number = first if name == MAIN else first + len(self.config.recipe.build().stages)
            system = system_of(name, recipe, self.config.recipe)
            stages = recipe_stages(recipe, self.context.student, self.config.training)
            planned = planned_stages(self.config, system, stages, total, seed=seed, number=number)
            found.append(replace(system, stages=tuple(planned)))
        return found

    def _of_teacher(self, system: System, seed: int) -> Iterator[PlannedStage]:
        training = self.config.teacher.fine_tune
        if isinstance(self.context.teacher, ModelTeacher) and training is not None:
            steps = training.total_steps(self.context.rows.labelled)
            stages = recipe_stages(self.config.teacher.recipe, self.context.teacher.model, training)
            yield from planned_stages(self.config, system, stages, steps, seed=seed, number=1)

    def parts(self, system: System, seed: int) -> list[Part]:
        """Return a part for each stage, one for the held-out rows, and the teacher's for the training rows."""
        context = self.context
        model = context.student
        if system.role == "simple":
            size = all_parameters(context.teacher.model if isinstance(context.teacher, ModelTeacher) else model)
            rows = rows_to_read(context) if system.name == FROZEN else 0
            return [Part.reading(READING, rows, parameters=size)] if rows else []
        if system.role == "teacher":
            if not isinstance(context.teacher, ModelTeacher):
                return []
            model = context.teacher.model
        size = all_parameters(model)
        trained = [p for p in system.stages if p.steps]
        parts = [Part.training(p.title, p.steps, rows=p.training.batch_size, parameters=size) for p in trained]
        parts.append(Part.reading(predicting(system.shown), len(context.rows.test), parameters=size))
        if system.role == "teacher" and keeps_signals(context):
            parts.append(Part.reading("teacher signals", len(context.rows.train), parameters=size))
        return parts

    def model(self, system: System, seed: int) -> Any:
        """Return the teacher, or this seed's student before any training; ``None`` for what has no model."""
        context = self.context
        if system.role == "simple":
            return None
        if system.role == "teacher":
            return context.teacher.model if isinstance(context.teacher, ModelTeacher) else None
        student = context.new_student(seed)
        if self.config.student.adapter is not None:
            self._frozen = frozen_fingerprint(student)
        return student.to(device())

    def stage(self, system: System, planned: PlannedStage, seed: int, model: Any) -> StageRun:
        """Return the rows of a stage in order, and the source of their signals."""
        context, stage = self.context, planned.stage
        needs = needs_of(stage.terms)
        teacher = self.signals if needs.teacher else None
        encoded, tokenizer, live = context.train, context.tokenizer, None
        if isinstance(context.teacher, ModelTeacher):
            live = context.teacher.train if stage.outer or isinstance(teacher, LocalTeacher) else None
            if system.role == "teacher":
                encoded, tokenizer = context.teacher.train, context.teacher.tokenizer
        stages = [one.stage for one in system.stages]
        quiz, learned = quiz_and_learned(context.rows, stages, seed)
        taught = any(needs_of(one.terms).teacher for one in stages)
        rows = np.intersect1d(context.stage_rows(stage, taught=taught), learned)
        size, steps, labels = planned.training.batch_size, planned.steps, context.rows.train_labels
        sequences = given_sequences(stage, rows, labels, encoded.lengths, batch_size=size, steps=steps, seed=seed)
        if isinstance(stage.source, Curriculum):
            parts = self._nested(stage.source, rows, model, f"{system.name}-seed{seed}")
            sequences = CurriculumSequences(parts, encoded.lengths, size, steps, seed)
        make_batch = context.batch_maker(encoded, live, context.rationales if needs.rationales else None)
        outer = None
        if stage.outer is not None:
            outer = teacher_training(context, planned, quiz, encoded, seed, make_batch)
            teacher = outer.teacher
        return StageRun(
            folder=context.folder / "stages" / planned.folder,
            log=context.folder / "log.jsonl",
            system=system.name,
            seed=seed,
            training=planned.training,
            sequences=sequences,
            make_batch=make_batch,
            progress=self.progress,
            title=planned.title,
            tokenizer=tokenizer,
            shapes=context.pair(model) if system.role == "teacher" else context.measured_pair,
            teacher=teacher,
            outer=outer,
            head_rows=spread_rows(rows, np.setdiff1d(learned, rows)) if stage.spreads else rows,
            unpruned=partial(context.new_student, seed, whole=True),
            judge=self._judge(system, planned),
        )

    def _judge(self, system: System, planned: PlannedStage) -> Judge | None:
        """Return how a stage is judged on development rows, if it is."""
        if not isinstance(planned.training, ClassifierTraining) or self.context.rows.dev is None:
            return None
        gold_N = label_ids(self.context.rows.dev, self.context.rows.labels)
        return dev_judge(planned.stage, planned.training, lambda: self._dev_of(system), gold_N)

    def _dev_of(self, system: System) -> Encoded:
        """Return the development rows encoded for a system's model."""
        context, dev = self.context, self.context.rows.dev
        assert dev is not None
        model, tokenizer = context.student, context.tokenizer
        if system.role == "teacher" and isinstance(context.teacher, ModelTeacher):
            model, tokenizer = context.teacher.model, context.teacher.tokenizer
        return encode_for(model, dev, tokenizer, context.max_length)

    def _nested(
        self, curriculum: Curriculum, rows: NDArray[np.int64], model: Any, name: str
    ) -> tuple[NDArray[np.int64], ...]:
        """Return the rows of each part of a curriculum. The student's loss is measured once, before training."""
        assert isinstance(self.signals, StoredTeacher), "see require_fitting"
        probs = np.exp(self.signals.log_probs(rows))
        of_student = None
        if curriculum.measure == "student_loss":
            title = "predicting: how hard the rows are"
            logits = self.context.predicted(f"train-{name}", title, model, self.context.train)[rows]
            of_student = np.log(np.maximum(softmax(logits), np.finfo(np.float64).tiny))
        hard = difficulty(probs, curriculum.measure, of_student)
        return tuple(rows[part] for part in nested_parts(hard, probs.argmax(-1), curriculum))

    def measure(self, system: System, seed: int, model: Any) -> None:
        """Predict the held-out rows; the teacher then also gives its signals for the training rows."""
        if system.role == "teacher":
            self._take_teachers_word(seed, model)
            return
        if system.role == "simple":
            answer_simply(self.context, system.name, self.signals)
            return
        if system.stages and self.signals is not None:
            give_memory(self.context, system, seed, model, self.signals)
        self.context.predict(system.name, seed, model)
        if system.role != "student_init":
            fit_on_dev_rows(self.context, system.name, seed, model, self.context.tokenizer)
        if system.stages and self._frozen is not None:
            assert frozen_fingerprint(model) == self._frozen, "frozen weights were trained"

    def _take_teachers_word(self, seed: int, model: Any) -> None:
        context = self.context
        if not isinstance(context.teacher, ModelTeacher):
            if (logits := context.teacher.test_logits()) is not None:
                context.logits[TEACHER] = {seed: logits}
            return
        model.to(device())
        if order_is_open(self.config):  # before anything is kept that would bind the folder to these labels
            given, gold = labelled_by_teacher(model, context.teacher.tokenizer, context.rows, context.max_length)
            context.warnings = check_label_order(self.config, context.rows.labels, given, gold)
        context.predict(TEACHER, seed, model)
        fit_on_dev_rows(context, TEACHER, seed, model, context.teacher.tokenizer)
        _ = self.signals  # before any student is trained

    def score(self, system: System, seed: int, model: Any) -> Measured:
        """Measure a student on the development rows."""
        context, dev = self.context, self.context.rows.dev
        assert dev is not None
        logits = context.logits_of(predicting(system.shown), model, self._dev_of(system))
        held_out = HeldOut(dev, label_ids(dev, context.rows.labels), context.rows.labels)
        return measure_classification([Classified(described(system), {seed: logits})], held_out)

    def export(self, part: Path) -> None:
        """Write the first seed's distilled student."""
        self._exported = write_student(self.context, part)

    def compare(self, command: str) -> Results:
        """Return all figures."""
        assert self._exported is not None
        return compare_systems(self.context, self.systems(self.config.seeds[0]), self._exported, command)
