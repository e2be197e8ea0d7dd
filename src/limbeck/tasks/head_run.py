"""A run of models with a head on an encoder or decoder, whatever the head is for.

First comes the teacher, fine-tuned if the run says so; then for each seed the student before training, the distilled
student, and the baselines, from the same start and with the same steps. What a kind of head has of its own is its
`Coder`: how rows become batches, and outputs answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import write_json
from limbeck.data.encode import Encoded, token_limit
from limbeck.errors import ConfigError
from limbeck.evaluation.measured import Measured
from limbeck.evaluation.speed import measure_speed
from limbeck.formatting import layers_text, parameters_text
from limbeck.losses.readout import Readout
from limbeck.losses.term import needs_of
from limbeck.models.layers import depth, shapes, width
from limbeck.models.load import Head, hub_name, load_classifier, load_tokenizer, load_weights, save_model
from limbeck.models.padding import Padding, padding_of, share_padding
from limbeck.numerics.layer_maps import choose_layers
from limbeck.ranks import device
from limbeck.recipes.catalogue import build_recipe, recipe_card
from limbeck.report.use import Use
from limbeck.results.record import Results, StageCost
from limbeck.results.record import System as Described
from limbeck.results.sections import Adapter, Section, Speeds
from limbeck.sequences.fixed import FixedSequences
from limbeck.sequences.given import GivenRows
from limbeck.stages.pipeline import StageRun, stage_title
from limbeck.stages.stage import Stage, Training
from limbeck.students.adapters import (
    adapter_notes,
    add_adapter,
    all_parameters,
    merged_for_export,
    trainable_parameters,
)
from limbeck.students.initialise import copies_note, student_from_config, student_from_layers
from limbeck.tasks.baselines import MAIN, STUDENT_INIT, TEACHER, system_of, trained, untrained_warnings
from limbeck.tasks.head_config import HeadRunConfig
from limbeck.tasks.head_rows import HeadRows
from limbeck.tasks.kept import kept_array
from limbeck.tasks.record import Facts, assemble
from limbeck.tasks.task import Part, PlannedStage, System
from limbeck.tasks.task_file import TASK_FILE
from limbeck.teachers.local import LocalTeacher
from limbeck.types import Batch, Progress, Shapes, Teacher, Update

__all__ = ["Coded", "Coder", "HeadRun", "UsedModel", "make_student", "open_run"]

Split = Literal["train", "test"]
Array = NDArray[np.float32]


class Coded(Protocol):
    """Rows as one model reads them."""

    @property
    def inputs(self) -> Encoded:
        """The sequences that batches are made of; a long text may be several."""

    @property
    def row_of(self) -> NDArray[np.int64]:
        """Which row each sequence is of."""

    def batch(self, sequences: NDArray[np.int64]) -> Batch:
        """Return a batch with gold answers."""

    def predict(self, model: Any, update: Update | None = None) -> Array:
        """Return a model's outputs for all rows."""


class Coder(Protocol):
    """What a kind of head has of its own."""

    @property
    def head(self) -> Head:
        """What outputs are of."""

    @property
    def readout(self) -> Readout:
        """What is trained."""

    @property
    def outputs(self) -> list[str]:
        """Names of the model's outputs, in their order."""

    @property
    def use(self) -> Use:
        """What the model card says of students."""

    def call(self, model: Any) -> None:
        """Have a model's configuration say what its outputs are."""

    def require(self, model: Any, name: str) -> None:
        """Refuse a finished teacher that gives something else. Raises `ModelError`."""

    def start(self, tokenizer: Any, models: Sequence[Any]) -> None:
        """Settle what depends on the student's tokenizer, and on student and teacher."""

    def begin(self, student: Any, teacher: Any) -> None:
        """Settle how a student that is made of a teacher's layers starts."""

    def encode(self, split: Split, tokenizer: Any, max_length: int, padding: Padding) -> Coded:
        """Tokenise training or held-out rows for a model."""

    def answers(self, split: Split) -> Array | None:
        """Return the teacher's answers that were read with the rows, in the form of outputs."""

    def signals(self, outputs: Array, student: Coded, states: Teacher | None) -> Teacher:
        """Return what gives the teacher's `outputs` of the training rows to the batches of `student`."""

    def finish(self, model: Any) -> None:
        """Have a trained model give the user's units."""

    def measure(self, systems: Sequence[Described], outputs: Mapping[str, Mapping[int, Array]]) -> Measured:
        """Return all figures of the held-out rows."""

    def notes(self) -> list[str]:
        """Return what a user should know of these rows and the student's tokenizer before a run."""

    def task_values(self) -> dict[str, Any]:
        """Return what a saved student must remember to read and answer new rows."""


@dataclass(frozen=True)
class UsedModel:
    """A model of the run, and the rows as it reads them."""

    model: Any
    tokenizer: Any
    train: Coded
    test: Coded


def open_run(config: HeadRunConfig, coder: Coder, rows: HeadRows[Any], folder: Path, progress: Progress) -> HeadRun:
    """Load the models, check that they can do the run, and tokenise all rows.

    Raises:
        LimbeckError: a model cannot be loaded, or does not fit the task, the rows or the recipe.
    """
    counts = rows.counts
    progress.log(f"{counts['train']} training rows ({counts['labelled']} labelled), {counts['test']} held-out rows")
    teacher = _start_teacher(config, coder)
    tokenizer = _student_tokenizer(config, teacher)
    student = make_student(config, coder, teacher[0] if teacher else None, tokenizer, config.seeds[0])
    if (note := copies_note(student)) is not None:
        progress.log(note)
    limit = token_limit(tokenizer, student, config.training.max_length)
    coder.start(tokenizer, [student, *([teacher[0]] if teacher else [])])
    of_student = _coded(coder, student, tokenizer, limit)
    of_teacher = None
    if teacher is not None:
        limit_of_teacher = min(limit, token_limit(teacher[1], teacher[0], config.training.max_length))
        of_teacher = _coded(coder, *teacher, limit_of_teacher)
    return HeadRun(config, coder, rows, folder, progress, of_teacher, of_student, limit)


def _coded(coder: Coder, model: Any, tokenizer: Any, limit: int) -> UsedModel:
    padding = padding_of(model, tokenizer)
    train, test = (coder.encode(split, tokenizer, limit, padding) for split in ("train", "test"))
    return UsedModel(model, tokenizer, train, test)


def _start_teacher(config: HeadRunConfig, coder: Coder) -> tuple[Any, Any] | None:
    import torch

    teacher = config.teacher
    if teacher.model is None:
        return None
    torch.manual_seed(config.seeds[0])  # a pretrained encoder gets a new head
    tokenizer = load_tokenizer(teacher.model, trust_remote_code=teacher.trust_remote_code)
    trained_already = teacher.fine_tune is None
    model = load_classifier(
        teacher.model,
        labels=None if trained_already else coder.outputs,
        head=coder.head,
        trust_remote_code=teacher.trust_remote_code,
    )
    if trained_already:
        coder.require(model, f"teacher {teacher.model}")
    coder.call(model)
    padding_of(model, tokenizer, trained=trained_already)
    return model, tokenizer


def _student_tokenizer(config: HeadRunConfig, teacher: tuple[Any, Any] | None) -> Any:
    """Return the student's own tokenizer, or the teacher's for a student made of the teacher or a configuration."""
    if config.student.model is None:
        assert teacher is not None
        return teacher[1]
    tokenizer = load_tokenizer(config.student.model, trust_remote_code=config.student.trust_remote_code)
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def make_student(config: HeadRunConfig, coder: Coder, teacher: Any, tokenizer: Any, seed: int) -> Any:
    """Return the untrained student, with its head and its adapter; the same for the same seed.

    Raises:
        ConfigError, ModelError: a layer map out of range, a configuration, model or adapter that does not fit.
    """
    import torch

    torch.manual_seed(seed)
    wanted = config.student
    if wanted.from_teacher is not None:
        layers = choose_layers(
            wanted.from_teacher.layers, teacher_layers=depth(teacher), keep=wanted.from_teacher.keep
        )
        model = student_from_layers(teacher, layers)
        coder.begin(model, teacher)
    elif wanted.model is not None:
        model = load_classifier(
            wanted.model, labels=coder.outputs, head=coder.head, trust_remote_code=wanted.trust_remote_code
        )
    else:
        assert wanted.config is not None
        model = student_from_config(wanted.config, coder.outputs, head=coder.head, pad_id=tokenizer.pad_token_id)
    coder.call(model)
    share_padding(model, tokenizer)
    return model if wanted.adapter is None else add_adapter(model, wanted.adapter)


class HeadRun:
    """One run at work; see `limbeck.tasks.task.TaskRun`."""

    def __init__(
        self,
        config: HeadRunConfig,
        coder: Coder,
        rows: HeadRows[Any],
        folder: Path,
        progress: Progress,
        teacher: UsedModel | None,
        student: UsedModel,
        max_length: int,
    ) -> None:
        self.config = config
        self.coder = coder
        self.rows = rows
        self.folder = folder
        self.progress = progress
        self.costs: dict[str, StageCost] = {}
        self.max_length = max_length
        self.teacher = teacher
        self.student = student
        self._outputs: dict[str, dict[int, Array]] = {}
        self._adapter: Adapter | None = None
        self._recipes = trained(config.recipes(), rows.labelled)
        self._require_fitting()

    def _require_fitting(self) -> None:
        """Refuse recipes that compare states of models that read other tokens. Raises `ConfigError`."""
        for recipe in self._recipes.values():
            needs = recipe.build().needs
            if needs.teacher_taps and self.teacher is not None and not self._same_tokens:
                raise ConfigError(
                    f"recipe '{recipe.name}' compares states of teacher and student, but their tokenizers write these "
                    "rows with different ids. Use a student with the teacher's tokenizer (student.from_teacher), or "
                    "kd"
                )

    @property
    def _same_tokens(self) -> bool:
        assert self.teacher is not None
        return self.teacher.train.inputs.fingerprint() == self.student.train.inputs.fingerprint()

    def systems(self, seed: int) -> list[System]:
        """Return the teacher with the first seed, the student before training, and all that are trained from it."""
        found = [System(STUDENT_INIT, "student_init", title="Student before training")]
        if seed == self.config.seeds[0] and (self.teacher is not None or self.coder.answers("test") is not None):
            found.insert(0, System(TEACHER, "teacher", tuple(self._of_teacher(seed)), title="Teacher"))
        number, total = 2, self._budget()
        for name, recipe in self._recipes.items():
            stages = recipe.build().stages
            planned = tuple(self._planned(name, stages, total, seed, number))
            described = system_of(name, recipe, self.config.recipe)
            found.append(
                System(
                    name, described.role, planned, title=described.title, recipe=recipe.key, control=described.control
                )
            )
            number += len(stages)
        return found

    def _of_teacher(self, seed: int) -> Iterator[PlannedStage]:
        training = self.config.teacher.fine_tune
        if training is not None:
            stages = build_recipe("fine_tune", {}, self.config.recipe.kind).stages
            assert self.teacher is not None
            total = training.total_steps(len(self._sequences(stages[0], self.teacher.train, taught=False)))
            yield from self._planned(TEACHER, stages, total, seed, 1, training)

    def _budget(self) -> int:
        """Optimiser steps of every student: passes over the sequences of the main recipe's rows."""
        stages = self._recipes[MAIN].build().stages
        widest = max((self._sequences(stage, self.student.train, taught=True) for stage in stages), key=len)
        return self.config.training.total_steps(len(widest))

    @property
    def _taught_N(self) -> NDArray[np.bool_]:
        """Which training rows the teacher has an answer for."""
        train = self.rows.train
        return train.taught_N if self.teacher is None else np.ones(len(train.texts), dtype=np.bool_)

    def _planned(
        self,
        system: str,
        stages: Sequence[Stage],
        total: int,
        seed: int,
        number: int,
        training: Training | None = None,
    ) -> Iterator[PlannedStage]:
        """Split a budget by the stages' shares; the parts add up to `total`, the budget of every system."""
        ends = [round(total * sum(stage.share for stage in stages[: i + 1])) for i in range(len(stages))]
        for place, (stage, start, end) in enumerate(zip(stages, [0, *ends], ends, strict=False), start=number):
            yield PlannedStage(
                stage,
                steps=end - start,
                folder=f"{place:02d}-{system}-{stage.name}-seed{seed}",
                training=training or self.config.training,
                title=stage_title(stage, system, seed if len(self.config.seeds) > 1 else None),
            )

    def parts(self, system: System, seed: int) -> list[Part]:
        """Return a part for each stage, one for the held-out rows, and the teacher's for the training rows."""
        used = self.teacher if system.role == "teacher" else self.student
        if used is None:
            return []
        size = all_parameters(used.model)
        parts = [Part.training(p.title, p.steps, rows=p.training.batch_size, parameters=size) for p in system.stages]
        parts.append(Part.reading(_predicting(system.name), len(used.test.inputs.lengths), parameters=size))
        if system.role == "teacher" and self._needs_signals:
            parts.append(Part.reading("teacher signals", len(used.train.inputs.lengths), parameters=size))
        return parts

    @cached_property
    def _needs_signals(self) -> bool:
        return any(recipe.build().needs.teacher for recipe in self._recipes.values())

    def model(self, system: System, seed: int) -> Any:
        """Return the teacher, or this seed's student before any training."""
        teacher = None if self.teacher is None else self.teacher.model
        if system.role == "teacher":
            return teacher
        student = make_student(self.config, self.coder, teacher, self.student.tokenizer, seed)
        return student.to(device())

    def stage(self, system: System, planned: PlannedStage, seed: int, model: Any) -> StageRun:
        """Return the rows of a stage in order, and who gives their signals."""
        used = self.student
        if system.role == "teacher":
            assert self.teacher is not None
            used = self.teacher
        needs = needs_of(planned.stage.terms)
        live = self.teacher.train.inputs if needs.teacher_taps and self.teacher is not None else None

        def make_batch(sequences: NDArray[np.int64]) -> Batch:
            batch = used.train.batch(sequences)
            if live is not None:
                batch["teacher"] = live.batch(sequences)
            return batch

        return StageRun(
            folder=self.folder / "stages" / planned.folder,
            log=self.folder / "log.jsonl",
            system=system.name,
            seed=seed,
            training=planned.training,
            sequences=FixedSequences(
                rows=self._sequences(planned.stage, used.train, taught=needs.teacher),
                lengths=used.train.inputs.lengths,
                batch_size=planned.training.batch_size,
                steps=planned.steps,
                seed=seed,
            ),
            make_batch=make_batch,
            progress=self.progress,
            title=planned.title,
            tokenizer=used.tokenizer,
            shapes=Shapes(0, 0, depth(model), width(model))
            if self.teacher is None
            else shapes(self.teacher.model, model),
            teacher=self._signals if needs.teacher else None,
            readout=self.coder.readout,
        )

    def _sequences(self, stage: Stage, coded: Coded, *, taught: bool) -> NDArray[np.int64]:
        """Return the sequences of a stage: of all rows, of labelled ones, or of those with a teacher's answer."""
        picked_N = np.ones(len(self.rows.train.texts), dtype=np.bool_)
        if stage.source == GivenRows("labelled"):
            picked_N = self.rows.train.labelled_N
        elif taught:
            picked_N = self._taught_N
        return np.flatnonzero(picked_N[coded.row_of])

    @cached_property
    def _signals(self) -> Teacher:
        """What the teacher says of the training rows: outputs kept once, states live."""
        if self.teacher is None:
            answers = self.coder.answers("train")
            assert answers is not None
            return self.coder.signals(answers, self.student.train, None)
        teacher = self.teacher
        outputs = self._predicted("signals/outputs.npy", "teacher signals", teacher.model, teacher.train)
        return self.coder.signals(outputs, self.student.train, LocalTeacher(teacher.model))

    def _predicted(self, name: str, title: str, model: Any, coded: Coded) -> Array:
        def make() -> Array:
            with self.progress.track(title, len(coded.inputs.lengths)) as update:
                return coded.predict(model, update)

        return kept_array(self.folder, name, make, self.progress)

    def measure(self, system: System, seed: int, model: Any) -> None:
        """Let a system answer the held-out rows; the teacher then says what it has to say about the training rows."""
        used, name = self.student, f"predictions/{system.name}-seed{seed}.npy"
        if system.role == "teacher":
            if self.teacher is None:
                answers = self.coder.answers("test")
                assert answers is not None
                self._outputs[system.name] = {seed: answers}
                return
            used = self.teacher
            model.to(device())
            if self.config.teacher.fine_tune is not None:
                self.coder.finish(model)
        self._outputs.setdefault(system.name, {})[seed] = self._predicted(
            name, _predicting(system.name), model, used.test
        )
        if system.role == "teacher" and self._needs_signals:
            _ = self._signals  # before any student is trained

    def export(self, part: Path) -> None:
        """Write the first seed's distilled student after its last stage, whatever its score."""
        student = self.student.model.to(device())
        done = sorted((self.folder / "stages").glob(f"*-distilled-*-seed{self.config.seeds[0]}/done.json"))[-1]
        load_weights(student, done.parent / "model")
        adapter = self.config.student.adapter
        if adapter is not None:
            self._adapter = Adapter(
                name=adapter.kind,
                trainable_parameters=trainable_parameters(student),
                parameters=all_parameters(student),
                notes=adapter_notes(adapter),
            )
            merged_for_export(student)
        self.coder.finish(student)
        save_model(student, self.student.tokenizer, part)
        write_json(part / TASK_FILE, {**self.coder.task_values(), "max_length": self.max_length})

    def compare(self, command: str) -> Results:
        """Return all figures."""
        self.progress.log("measuring size and speed")
        models = {"student": self.student, **({} if self.teacher is None else {"teacher": self.teacher})}
        speeds = measure_speed(
            {name: used.model for name, used in models.items()},
            {name: used.test.inputs for name, used in models.items()},
        )
        self.progress.log("comparing the systems")
        systems = [self._described(system) for system in self.systems(self.config.seeds[0])]
        of = {one.name: "teacher" if one.role == "teacher" else "student" for one in systems}
        sections: list[Section] = [Speeds(systems={name: speeds[m] for name, m in of.items() if m in speeds})]
        if self._adapter is not None:
            sections.append(self._adapter)
        config, recipe = self.config, self.config.recipe.name
        facts = Facts(
            kind=config.task.kind,
            name=Path(config.output).name,
            command=command,
            recipe=recipe,
            paper=recipe_card(recipe).paper,
            seeds=config.seeds,
            rows=self.rows.counts,
            fingerprints=self.rows.fingerprints,
        )
        return assemble(
            facts,
            self.coder.measure(systems, self._outputs),
            folder=self.folder,
            costs=list(self.costs.values()),
            sections=sections,
            warnings=[*self.rows.warnings, *untrained_warnings(config.recipes(), self.rows.labelled, "gold answer")],
        )

    def _described(self, system: System) -> Described:
        if system.role == "teacher" and self.teacher is None:
            detail, layers = f"answers in {', '.join(self.config.teacher.columns)}", None
        else:
            whole = None if self.teacher is None else depth(self.teacher.model)
            used = self.student if system.role != "teacher" or self.teacher is None else self.teacher
            layers = depth(used.model)
            of = None if system.role == "teacher" else whole
            detail = f"{layers_text(layers, of)}, {parameters_text(all_parameters(used.model))} parameters"
        return Described(
            name=system.name,
            title=system.title,
            role=system.role,
            detail=detail,
            recipe=system.recipe,
            control=system.control,
            layers=layers,
        )

    def card(self, results: Results, student: Path) -> str:
        """Return the model card."""
        from limbeck.report.card import render_card

        return render_card(results, self.coder.use, hub_name(self.config.student.begins_as(self.config.teacher.model)))


def _predicting(system: str) -> str:
    """What the bar says while the held-out rows are predicted."""
    return f"predicting: {system.replace('_', ' ')}"
