"""The memory that a run of models with a head needs, item by item, before anything is loaded.

Models are built from their configurations on tensors without storage (`limbeck.models.step_memory`), and one training
step of each is traced with the longest rows of the run's own data. Memory outside tensors is measured: on a CPU the
memory of this process with the libraries loaded, on a GPU a reserve for the driver.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial, reduce
from operator import or_
from pathlib import Path
from typing import Any

import limbeck.stages.trainer  # noqa: F401  # a run loads it, so its memory counts
from limbeck.errors import ConfigError, ModelError
from limbeck.losses.term import needs_of
from limbeck.models.layers import depth, set_dropout, shapes, text_config, width, word_embeddings
from limbeck.models.load import Head, new_classifier
from limbeck.models.pooled_classifier import with_pooling
from limbeck.models.step_memory import StepMemory, trace_step, without_memory
from limbeck.numerics.memory import device_memory_bytes, resident_memory_bytes
from limbeck.numerics.memory_plan import MemoryItem, readable, weights_bytes
from limbeck.ranks import device, ranks
from limbeck.stages.stage import Training, require_rows_together
from limbeck.students.adapters import (
    Adapter,
    adapter_notes,
    add_adapter,
    quantised_weights,
    quantises,
)
from limbeck.students.initialise import student_from_config
from limbeck.tasks.baselines import all_stages
from limbeck.tasks.memory import MemoryPlan, Phase
from limbeck.tasks.new_student import copied_layers, has_pairs, wanted_pooling
from limbeck.types import Needs, Probe, Shapes

__all__ = ["PlannedMember", "PlannedRun", "plan_steps"]

_GPU_RESERVE_BYTES = 1e9
_OVERHEAD, _OVERHEAD_OF_ADAPTERS = 0.25, 1.0
"""Memory that the allocator holds in addition to gradients and activations on a CPU, as measured shares of them
(docs/results/plan.md). Adapters create many activations of the same size, and a freed block is too small for the next
one."""
_PREDICTED_ROWS = 64
_SUGGESTED = Adapter(kind="lora", rank=8)


@dataclass(frozen=True)
class PlannedMember:
    """A model that is trained before the students, and then only its answers are needed."""

    section: Any
    """Of the run file: its ``model``, ``training``, ``pooling``, ``trust_remote_code``."""
    longest: Callable[[Any], int]
    """Returns the tokens of the longest training row, as read by a model without storage."""
    trains: bool = True
    """Whether more than its head is trained."""

    @property
    def training(self) -> Training:
        """How it is trained."""
        training: Training = self.section.training
        return training


@dataclass(frozen=True)
class PlannedRun:
    """The inputs of a plan, for any kind of head."""

    config: Any
    """The run: its ``training``, ``teacher.fine_tune``, ``student`` and ``recipes()``."""
    outputs: list[str]
    """Names of the head's outputs."""
    teacher: str | None
    """Folder or hub name of a teacher with a head; ``None``: any other, which needs no memory in training."""
    held_out: int
    """Number of predicted rows."""
    tokenizer: Any
    """The student's."""
    longest: Callable[[Any, Any], tuple[int, int]]
    """Returns the tokens of the longest training and held-out sequence, as read by a teacher (or ``None``) and a
    student without storage."""
    runs_along: Callable[[Shapes], bool]
    """Whether the teacher is asked at every step, for models of these shapes."""
    head: Head = "rows"
    members: tuple[PlannedMember, ...] = ()
    """Models of an ensemble teacher, each trained alone."""
    frozen: Any = None
    """The section of the run file whose pretrained encoder reads all rows as it is; ``None``: no encoder does."""
    notes: tuple[str, ...] = ()
    """What the plan leaves out."""

    def make_teacher(self) -> Any:
        """Return the teacher, with arbitrary weights."""
        assert self.teacher is not None
        return self._new(self.teacher, self.config.teacher)

    def make_student(self, config: Any) -> Any:
        """Return the student as `config` trains it, with arbitrary weights; 4-bit weights are counted separately."""
        prunes = any(stage.pruning is not None for stage in all_stages(config.recipes()))
        student = _with_padding(self._plain(config.student.unpruned if prunes else config.student))
        if (adapter := config.student.adapter) is not None:
            add_adapter(student, adapter.model_copy(update={"kind": "lora"}) if adapter.kind == "qlora" else adapter)
        return _as_trained(student, config.training)

    def make_member(self, member: PlannedMember) -> Any:
        """Return a member of the teacher, with arbitrary weights."""
        return _as_trained(self._new(member.section.model, member.section), member.training)

    def make_frozen(self) -> Any:
        """Return the frozen encoder, with arbitrary weights; a head makes no difference to its size."""
        return self._new(self.frozen.model, self.frozen)

    def _plain(self, section: Any) -> Any:
        if section.model is not None:
            return copied_layers(self._new(section.model, section), section)
        pooling = wanted_pooling(section.pooling)
        if section.config is not None:
            pairs = has_pairs(self.config.task)
            return student_from_config(
                section.config, self.outputs, head=self.head, pooling=pooling, tokenizer=self.tokenizer, pairs=pairs
            )
        copied = copied_layers(self.make_teacher(), section)
        return copied if pooling is None else with_pooling(copied, pooling)

    def _new(self, name: str, section: Any) -> Any:
        found = new_classifier(
            name,
            labels=self.outputs,
            head=self.head,
            pooling=wanted_pooling(section.pooling),
            trust_remote_code=section.trust_remote_code,
        )
        return _with_padding(found)


def plan_steps(run: PlannedRun, available: float | None) -> MemoryPlan:
    """Return the memory that each part of a run needs on its device, and what to change.

    Args:
        run: the inputs of the plan.
        available: available bytes; ``None``: those of the device.

    Raises:
        LimbeckError: tokenizers or configurations cannot be used.
    """
    planner = _Planner(run)
    available = available or device_memory_bytes()
    if available is None:
        raise ConfigError("this system does not report its memory: give it (limbeck plan --memory 8GB)")
    phases = planner.phases(run.config)
    plan = MemoryPlan(device(), phases, available, planner.batch_in_words(), [], planner.notes())
    return plan if plan.fits else replace(plan, advice=planner.advice(plan))


def _with_padding(model: Any) -> Any:
    """Set any padding id, which a classifier of several rows requires."""
    if getattr(text_config(model), "pad_token_id", None) is None:
        text_config(model).pad_token_id = 0
    return model


def _as_trained(model: Any, training: Training) -> Any:
    if getattr(model, "adapter", None) is None:
        word_embeddings(model).requires_grad_(not training.freeze_word_embeddings)
    if training.dropout is not None:
        set_dropout(model, training.dropout)
    return model


def _overhead(model: StepMemory, *, adapted: bool) -> list[MemoryItem]:
    """Return what the allocator on a CPU holds in addition to the tensors of a step."""
    if device() != "cpu":
        return []
    share = _OVERHEAD_OF_ADAPTERS if adapted else _OVERHEAD
    words = f"{share:.0%} of gradients and activations: freed, and too small for later tensors"
    return [MemoryItem("allocator", share * model.step_bytes, words)]


class _Planner:
    """The run's rows and models, traced on demand."""

    def __init__(self, run: PlannedRun) -> None:
        self.run, self.config = run, run.config
        with without_memory():
            teacher: Any = None if run.teacher is None else run.make_teacher()
            student = run.make_student(run.config)
            self.matrices = quantised_weights(run.make_student(_with_adapter(run.config, None)))
            self.teacher_parameters = sum(p.numel() for p in teacher.parameters()) if teacher is not None else 0
            bare = Shapes(0, 0, depth(student), width(student))
            self.pair = bare if teacher is None else shapes(teacher, student)
            self.tokens, self.held_out_tokens = run.longest(teacher, student)
            encoder = None if run.frozen is None else run.make_frozen()
            self.frozen_parameters = sum(p.numel() for p in encoder.parameters()) if encoder is not None else 0
            self.member_tokens = [member.longest(run.make_member(member)) for member in run.members]
        # After the models are built, which loads the libraries that they need.
        self.reserve = (
            MemoryItem("Python and libraries", resident_memory_bytes(), "measured: this process, libraries loaded")
            if device() == "cpu"
            else MemoryItem("driver and libraries", _GPU_RESERVE_BYTES, "a reserve")
        )

    def phases(self, config: Any) -> list[Phase]:
        """Return the parts of the run, with the student and the training of `config`."""
        make_student = partial(self.run.make_student, config)
        student = self._trace(make_student, config.training, self._needs.student_probes)
        frozen = self._student_weights(config, student)
        phases = [Phase("training the student", [
            self.reserve, *self._teacher_weights(), *frozen, *self._training(config.training, student, "student"),
            *_overhead(student, adapted=config.student.adapter is not None),
            *self._first_student(frozen), *self._of_terms(config), *self._teacher_along(config)])]  # fmt: skip
        if (training := config.teacher.fine_tune) is not None:
            teacher = self._trace(lambda: _as_trained(self.run.make_teacher(), training), training)
            phases.insert(0, Phase("fine-tuning the teacher", [
                self.reserve, *self._teacher_weights(), *(frozen if device() == "cpu" else []),
                *self._training(training, teacher, "teacher"), *_overhead(teacher, adapted=False)]))  # fmt: skip
        members = [self._member(*one, frozen) for one in zip(self.run.members, self.member_tokens, strict=True)]
        predicting = self._predicting(config, frozen)
        return [*members, *phases, *self._reading(predicting), predicting]

    def _member(self, member: PlannedMember, tokens: int, frozen: list[MemoryItem]) -> Phase:
        rows, bf16 = self._micro_rows(member.training), member.training.precision == "bf16"
        if not member.trains:
            rows, bf16 = _PREDICTED_ROWS, False
        make = partial(self.run.make_member, member)
        found = trace_step(make, rows=rows, tokens=tokens, bf16=bf16, train=member.trains)
        if member.trains:
            step = [*self._training(member.training, found, "member", tokens), *_overhead(found, adapted=False)]
        else:
            step = [MemoryItem("activations", found.step_bytes, f"{rows} rows of {tokens} tokens, traced")]
        weights = MemoryItem("member's weights", found.weights_bytes, "4 bytes each")
        doing = "training" if member.trains else "reading with"
        title = f"{doing} the teacher's member {Path(member.section.model).name}"
        return Phase(title, [self.reserve, *self._first_student(frozen), weights, *step])

    def _trace(
        self, make: Callable[[], Any], training: Training, probes: frozenset[Probe] = frozenset()
    ) -> StepMemory:
        rows, bf16 = self._micro_rows(training), training.precision == "bf16"
        return trace_step(make, rows=rows, tokens=self.tokens, bf16=bf16, probes=probes)

    @cached_property
    def _needs(self) -> Needs:
        """What the terms of all students need."""
        stages = all_stages(self.config.recipes())
        return reduce(or_, (needs_of(stage.bound(self.pair)) for stage in stages), Needs())

    @staticmethod
    def _micro_rows(training: Training) -> int:
        return training.micro_batch_size or max(1, training.batch_size // ranks())

    def _teacher_weights(self) -> list[MemoryItem]:
        if self.run.teacher is None:
            return []
        words = f"4 bytes x {self.teacher_parameters:,}; it stays loaded"
        return [MemoryItem("teacher's weights", 4 * self.teacher_parameters, words)]

    def _student_weights(self, config: Any, student: StepMemory) -> list[MemoryItem]:
        if not quantises(config.student.adapter):
            return [MemoryItem("student's weights", student.weights_bytes, "4 bytes each, adapter included")]
        linear = sum(self.matrices)
        four_bit = weights_bytes(linear=linear, other=0, bytes_each=4, nf4=True)
        buffer = max(self.matrices) * (4 if device() == "cpu" else 2)
        return [
            MemoryItem("student's 4-bit weights", four_bit, f"4.127 bits x {linear:,}"),
            MemoryItem("student's other weights", student.weights_bytes - 4 * linear, "4 bytes each"),
            MemoryItem("one matrix in full precision", buffer, "the largest, while it is used"),
        ]

    def _training(
        self, training: Training, model: StepMemory, who: str, tokens: int | None = None
    ) -> list[MemoryItem]:
        moments, each = (2, "two moments") if training.optim == "adamw" else (1, "momentum")
        rows = self._micro_rows(training)
        states = f"{each} of 4 bytes x {model.trainable:,} trained"
        traced = f"{rows} rows of {tokens or self.tokens} tokens, traced"
        return [
            MemoryItem(f"{who}'s optimiser", 4.0 * moments * model.trainable, states),
            MemoryItem(f"{who}'s gradients", model.gradients_bytes, f"4 bytes x {model.trainable:,} trained"),
            MemoryItem(f"{who}'s activations", model.activations_bytes, traced),
        ]

    @staticmethod
    def _first_student(frozen: list[MemoryItem]) -> list[MemoryItem]:
        """Return the item of the student that the run is checked with, which stays loaded on the CPU."""
        if device() != "cpu":
            return []
        return [
            MemoryItem("first student", sum(item.bytes for item in frozen), "used to check the run; it stays loaded")
        ]

    def _teacher_along(self, config: Any) -> list[MemoryItem]:
        if self.run.teacher is None or not self.run.runs_along(self.pair):
            return []
        rows, taps, probes = self._micro_rows(config.training), self._needs.student_taps, self._needs.teacher_probes
        along = trace_step(self.run.make_teacher, rows=rows, tokens=self.tokens, train=False, probes=probes)
        heads, width = self.pair.student_heads, self.pair.teacher_width
        numbers = sum(heads * self.tokens if tap.site == "attention" else width for tap in taps)
        kept = 2 * 4 * rows * self.tokens * numbers
        return [MemoryItem("teacher's activations", along.step_bytes + kept, "it runs along with the student")]

    def _of_terms(self, config: Any) -> list[MemoryItem]:
        """Return the item of parameters that terms have of their own: maps between widths, filters."""
        if self.run.teacher is None:
            return []
        bound = [stage.bound(self.pair) for stage in all_stages(self.config.recipes())]
        modules = [[module for t in terms if (module := t.term.module()) is not None] for terms in bound]
        most = max(sum(p.numel() for module in of_stage for p in module.parameters()) for of_stage in modules)
        each = 16 if config.training.optim == "adamw" else 12
        words = f"{each} bytes x {most:,}: weights, gradients and optimiser"
        return [MemoryItem("recipe's own parameters", float(each * most), words)] if most else []

    def _predicting(self, config: Any, frozen: list[MemoryItem]) -> Phase:
        make = self.run.make_teacher if self.run.teacher is not None else lambda: self.run.make_student(config)
        rows = min(_PREDICTED_ROWS, self.run.held_out)
        found = trace_step(make, rows=rows, tokens=self.held_out_tokens, train=False)
        words = f"{rows} rows of {self.held_out_tokens} tokens, traced"
        running = MemoryItem("activations", found.step_bytes, words)
        return Phase("predicting", [self.reserve, *self._teacher_weights(), *frozen, running])

    def _reading(self, predicting: Phase) -> list[Phase]:
        """Return the part in which a frozen encoder reads the rows, beside the models of the run."""
        if not self.frozen_parameters:
            return []
        words = f"4 bytes x {self.frozen_parameters:,}; loaded for this alone"
        weights = MemoryItem("encoder's weights", 4 * self.frozen_parameters, words)
        return [Phase("reading with the frozen encoder", [*predicting.items, weights])]

    def batch_in_words(self) -> str:
        """Return the batch of the figures in words."""
        training = self.config.training
        micro = self._micro_rows(training)
        return f"{micro} rows of {self.tokens} tokens at a time, {training.batch_size} for each optimiser step"

    def notes(self) -> list[str]:
        """Return remarks on the figures."""
        found = [] if self.config.student.adapter is None else adapter_notes(self.config.student.adapter)
        found += self.run.notes
        if device() != "cpu":
            found.append("Activations are those of the operations on a CPU; a GPU's attention may need less.")
        return found

    def advice(self, plan: MemoryPlan) -> list[str]:
        """Return changes, each with the memory needed then, up to the first that suffices."""
        words = [f"The run needs {readable(plan.worst.bytes)} while {plan.worst.name}, and there are "
                 f"{readable(plan.available)}."]  # fmt: skip
        for text, config in self._changes():
            try:
                needed = max(phase.bytes for phase in self.phases(config))
            except ModelError:
                continue
            fits = needed <= plan.available
            words.append(f"{text}: {readable(needed)}{', which fits' if fits else ''}.")
            if fits:
                return words
        return [*words, "A smaller student or teacher, or a device with more memory, is needed."]

    def _may_be_split(self, rows: int) -> bool:
        """Whether steps may be split into micro-batches of `rows` rows."""
        batch_size, recipes = self.config.training.batch_size, dict(self.config.recipes())
        if (of_teacher := getattr(self.config.teacher, "recipe", None)) is not None:
            recipes["teacher"] = of_teacher
        try:
            for stage in all_stages(recipes):
                require_rows_together(stage, rows, batch_size)
        except ConfigError:
            return False
        return True

    def _changes(self) -> list[tuple[str, Any]]:
        """Return changes, cheapest first: those that keep the results, then those that do not."""
        config, found = self.config, []
        micro = self._micro_rows(config.training)
        divisors = [n for n in range(micro - 1, 0, -1) if config.training.batch_size % n == 0]
        for rows in sorted({max((n for n in divisors if n <= micro / 2), default=1), 1}, reverse=True):
            if rows < micro and self._may_be_split(rows):
                config = _with_micro_batches(self.config, rows)
                too = "" if config.teacher == self.config.teacher else ", and in teacher.fine_tune"
                found.append((f"training.micro_batch_size: {rows}{too}", config))
        if self.config.student.adapter is None:
            words = f"student.adapter: {{kind: lora, rank: {_SUGGESTED.rank}}}"
            found.append((f"{words}, with it", _with_adapter(config, _SUGGESTED)))
        return found


def _with_micro_batches(config: Any, rows: int) -> Any:
    """Return the run with smaller micro-batches, also in the teacher's fine-tuning if it has larger ones."""
    smaller = {"micro_batch_size": rows}
    changes: dict[str, Any] = {"training": config.training.model_copy(update=smaller)}
    fine_tune = config.teacher.fine_tune
    larger = fine_tune is not None and (fine_tune.micro_batch_size or fine_tune.batch_size) > rows
    if fine_tune is not None and larger and fine_tune.batch_size % rows == 0:
        changes["teacher"] = config.teacher.model_copy(update={"fine_tune": fine_tune.model_copy(update=smaller)})
    return config.model_copy(update=changes)


def _with_adapter(config: Any, adapter: Adapter | None) -> Any:
    return config.model_copy(update={"student": config.student.model_copy(update={"adapter": adapter})})
