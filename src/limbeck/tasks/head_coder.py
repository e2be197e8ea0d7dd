"""The part specific to a kind of head: batches from rows, and answers from outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from limbeck.data.encode import Encoded
from limbeck.evaluation.measured import Measured
from limbeck.losses.readout import Readout
from limbeck.models.load import Head
from limbeck.models.padding import Padding
from limbeck.results.record import System
from limbeck.types import Batch, Teacher, Update

__all__ = ["Array", "Coded", "Coder", "Split"]

Split = Literal["train", "dev", "test"]
Array = NDArray[np.float32]


class Coded(Protocol):
    """Rows encoded for one model."""

    @property
    def inputs(self) -> Encoded:
        """The sequences of batches; a long text may be several."""

    @property
    def row_of(self) -> NDArray[np.int64]:
        """The row of each sequence."""

    def batch(self, sequences: NDArray[np.int64]) -> Batch:
        """Return a batch with gold answers."""

    def answers_in(self, sequences: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the indices of the answers in some sequences: of rows, or of units in them."""

    def predict(self, model: Any, sequences: NDArray[np.int64] | None = None, update: Update | None = None) -> Array:
        """Return a model's outputs for the answers in some sequences, or for all answers."""


class Coder(Protocol):
    """The part specific to a kind of head."""

    @property
    def head(self) -> Head:
        """What outputs are for."""

    @property
    def readout(self) -> Readout:
        """What is trained."""

    @property
    def outputs(self) -> list[str]:
        """Names of the model's outputs, in order."""

    def call(self, model: Any) -> None:
        """Record the outputs in a model's configuration."""

    def require(self, model: Any, name: str) -> None:
        """Refuse a finished teacher with other outputs. Raises `ModelError`."""

    def start(self, tokenizer: Any, models: Sequence[Any]) -> None:
        """Set up what depends on the student's tokenizer, and on student and teacher."""

    def begin(self, student: Any, teacher: Any) -> None:
        """Set up the start of a student that is made of a teacher's layers."""

    def encode(self, split: Split, tokenizer: Any, max_length: int, padding: Padding) -> Coded:
        """Tokenise training, development or held-out rows for a model."""

    def answers(self, split: Split) -> Array | None:
        """Return the teacher's answers from the rows, in the form of outputs."""

    def signals(self, outputs: Array, student: Coded, states: Teacher | None) -> Teacher:
        """Return a teacher that supplies its `outputs` of the training rows to the batches of `student`."""

    def finish(self, model: Any) -> None:
        """Convert a trained model to the user's units."""

    def measure(
        self, systems: Sequence[System], outputs: Mapping[str, Mapping[int, Array]], split: Split = "test"
    ) -> Measured:
        """Return all figures of the held-out rows, or of development rows."""

    def notes(self) -> list[str]:
        """Return what a user should know about these rows and the student's tokenizer before a run."""

    def task_values(self) -> dict[str, Any]:
        """Return what a saved student needs to read and answer new rows."""
