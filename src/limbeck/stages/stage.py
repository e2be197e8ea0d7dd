"""A stage as data: what a recipe returns, and the user's training settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from limbeck.errors import ConfigError
from limbeck.losses.term import WeightedTerm, bind_terms, needs_of
from limbeck.sequences.class_pairs import ClassPairs
from limbeck.sequences.given import GivenRows, TeacherWritten
from limbeck.sequences.on_policy import OnPolicy
from limbeck.sequences.replay import Replay
from limbeck.sequences.rollouts import Rollouts
from limbeck.sequences.source import Sampled, Source, parts_of
from limbeck.stages.outer_loop import BiLevel
from limbeck.stages.unfreezing import Trained
from limbeck.students.pruning.schedule import Pruning
from limbeck.types import Shapes

__all__ = ["SGD_MOMENTUM", "Stage", "Training", "require_rows_together"]

SGD_MOMENTUM = 0.9

_Part = TypeVar("_Part", bound=Source)
_Training = TypeVar("_Training", bound="Training")

_Count = Annotated[int, Field(gt=0, le=10**9)]
"""A larger number is a typing mistake, and products of two would overflow."""


@dataclass(frozen=True)
class Stage:
    """Weighted terms on the data of a source, for a share of the budget."""

    name: str
    terms: tuple[WeightedTerm, ...]
    share: float = 1.0
    """Share of the run's optimiser steps; the shares of a recipe's stages add up to 1."""
    source: Source = field(default_factory=GivenRows)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `Training` that this stage sets itself, whatever the run says."""
    trains: Trained = "all"
    """What of the student it trains; everything else keeps its weights. Terms' own parameters are always trained."""
    rate_factor: float = 1.0
    """Factor on the run's learning rate."""
    fit_head: bool = False
    """Whether the classifier's last linear layer begins as a logistic regression on the frozen features of the stage's
    rows, for their gold labels or, if a term reads the teacher's logits, for its probabilities. With a share of 0 that
    is all the stage does."""
    head_strength: float | None = None
    """C of that regression; ``None``: by cross-validation, which says nothing if earlier stages learned the labels."""
    spreads: bool = False
    """Whether unlabelled rows take part in `fit_head`, with labels spread from their neighbours."""
    outer: BiLevel | None = None
    """What else is trained before each step, on the step's rows."""
    pruning: Pruning | None = None
    """The stage trains the student as it is before units are cut, and cuts them step by step until it has its shape;
    ``None``: it trains the student."""

    def bound(self, shapes: Shapes) -> tuple[WeightedTerm, ...]:
        """Return its terms bound to teacher and student; those of a stage that prunes, to the student before that."""
        return bind_terms(self.terms, shapes if self.pruning is None else shapes.unpruned())

    def training(self, of_run: _Training) -> _Training:
        """Return the settings that it trains with, in a run with these."""
        rate = self.rate_factor * of_run.learning_rate
        return of_run.model_copy(update={"learning_rate": rate, **self.settings})

    def part(self, kind: type[_Part]) -> _Part | None:
        """Return its source, or one inside it, that is a `kind`."""
        return next((part for part in parts_of(self.source) if isinstance(part, kind)), None)

    @property
    def trains_student(self) -> bool:
        """Whether any of the student is trained, and not its terms' own parameters alone."""
        return self.trains != "terms"

    @property
    def labelled_only(self) -> bool:
        """Whether it trains on the labelled rows alone."""
        return self.source == GivenRows("labelled") or isinstance(self.source, ClassPairs)

    @property
    def reads_labels(self) -> bool:
        """Whether it cannot be run without gold labels."""
        return needs_of(self.terms).labels or self.labelled_only or self.outer is not None

    @property
    def only_hints(self) -> bool:
        """Whether it trains no output, only states inside or nothing of the student: its answers say nothing."""
        needs = needs_of(self.terms)
        return not self.trains_student or (bool(needs.teacher_taps) and not (needs.labels or needs.logits))

    @property
    def has_loss_temperature(self) -> bool:
        """Whether a term with weight divides logits by a temperature of its own."""
        return any(one.weight > 0 and hasattr(one.term, "loss_temperature") for one in self.terms)

    def at_loss_temperature(self, loss_temperature: float) -> Stage:
        """Return the stage with this temperature in all terms that have one."""
        terms = tuple(
            replace(one, term=replace(one.term, loss_temperature=loss_temperature))  # type: ignore[type-var]
            if hasattr(one.term, "loss_temperature")
            else one
            for one in self.terms
        )
        return replace(self, terms=terms)

    @property
    def sampled(self) -> Sampled | None:
        """How the student generates the stage's texts; ``None`` if it does not."""
        return self.part(OnPolicy) or self.part(Replay) or self.part(Rollouts)

    @property
    def reads_given(self) -> bool:
        """Whether it trains on completions that exist before it starts, in a generation run."""
        sampled = self.sampled
        if isinstance(sampled, OnPolicy):
            return sampled.share < 1 or sampled.beside
        return not isinstance(sampled, Rollouts)

    @property
    def packable(self) -> bool:
        """Whether texts may share a row: they exist before it starts, and no term depends on the row of a token."""
        by_row = any(t.term.by_row for t in self.terms if t.weight > 0)
        return isinstance(self.source, GivenRows | TeacherWritten) and not by_row


class Training(BaseModel):
    """How a model is trained. `batch_size` is per optimiser step, whatever the number of devices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_train_epochs: Annotated[float, Field(gt=0, le=1e6)] = 3.0
    """Passes over the stage's rows."""
    max_steps: _Count | None = None
    """Optimiser steps; overrides `num_train_epochs`."""
    batch_size: _Count = 32
    """Rows per optimiser step, over all micro-batches and devices."""
    micro_batch_size: _Count | None = None
    """Rows per forward pass on one device, if a whole batch does not fit; default: all rows of the batch."""
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5e-5
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps in which the learning rate rises; it then falls to 0, or stays."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How it falls: linearly, along half a cosine, or not at all."""
    optim: Literal["adamw", "sgd"] = "adamw"
    """``sgd``: plain gradient descent with momentum 0.9."""
    prompt_learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Learning rate of soft prompts, if a student has any; default: `learning_rate`."""
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
    max_grad_norm: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Dropout while training; default: the model's own. Few labels and few epochs often do better with 0."""
    freeze_word_embeddings: bool = False
    """Do not train the word embeddings: much cheaper steps on a CPU."""
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    max_length: _Count | None = None
    """Longest row in tokens; default: what the model can read, at most 512."""
    log_every: _Count = 10
    """Optimiser steps between lines of log.jsonl."""
    checkpoints: _Count = 10
    """Checkpoints per stage; the last two are kept until the stage is done."""
    report_to: list[Literal["tensorboard", "wandb", "mlflow", "trackio"]] = []
    """Experiment trackers, through the Hugging Face trainer."""

    @model_validator(mode="after")
    def _micro_batches_fill_the_batch(self) -> Training:
        if self.micro_batch_size is not None and self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"micro_batch_size {self.micro_batch_size} does not divide batch_size {self.batch_size}: "
                "choose a divisor"
            )
        return self

    @field_validator("report_to")
    @classmethod
    def _trackers_are_installed(cls, names: list[str]) -> list[str]:
        missing = [name for name in names if find_spec(name) is None]
        if missing:
            raise ValueError(f"{', '.join(missing)} not installed: pip install {' '.join(missing)}")
        return names

    def total_steps(self, rows: int) -> int:
        """Return the optimiser steps for a training set of `rows` rows."""
        return (
            self.max_steps if self.max_steps is not None else math.ceil(self.num_train_epochs * rows / self.batch_size)
        )


def require_rows_together(stage: Stage, micro: int, batch_size: int) -> None:
    """Check that no micro-batch separates rows that a term of the stage compares.

    Args:
        stage: the stage.
        micro: rows of a micro-batch.
        batch_size: rows of an optimiser step.

    Raises:
        ConfigError: it does; names the term.
    """
    for t in stage.terms:
        together = batch_size if t.term.rows_together is None else t.term.rows_together
        if micro % together:
            raise ConfigError(
                f"the term '{t.name}' compares {'all' if together == batch_size else together} rows of an optimiser "
                f"step with each other, and the step's {batch_size} rows are split into micro-batches of {micro}: "
                f"make it a multiple of {together} (batch_size, micro_batch_size), or use fewer devices"
            )
