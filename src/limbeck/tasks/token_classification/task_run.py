"""The `Coder` of taggers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.encode import Encoded
from limbeck.data.tagging.batches import TagBatches
from limbeck.data.tagging.encode import EncodedUnits, encode_units, lost_spans, tag_ids, units_of
from limbeck.data.tagging.rows import Range
from limbeck.data.tagging.scheme import tag_names
from limbeck.evaluation.measured import Measured
from limbeck.evaluation.predict import predict_tags
from limbeck.losses.readout import TagReadout
from limbeck.models.load import Head
from limbeck.models.padding import Padding
from limbeck.results.record import System
from limbeck.tasks.head_coder import Array, Coded, Split
from limbeck.tasks.token_classification.config import TaggerRunConfig
from limbeck.tasks.token_classification.measure import HeldOut, measure_tagger
from limbeck.tasks.token_classification.rows import TaggerRows, teacher_tags
from limbeck.teachers.stored_outputs import StoredOutputs
from limbeck.types import Batch, Teacher, Update

__all__ = ["TagCoder"]


@dataclass(frozen=True)
class _Coded:
    """Texts encoded for one model."""

    batches: TagBatches

    @property
    def inputs(self) -> Encoded:
        return self.batches.encoded.windows

    @property
    def row_of(self) -> NDArray[np.int64]:
        return self.batches.encoded.row_of_W

    def batch(self, sequences: NDArray[np.int64]) -> Batch:
        return self.batches.batch(sequences)

    def answers_in(self, sequences: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.batches.encoded.units_in(sequences)

    def predict(self, model: Any, sequences: NDArray[np.int64] | None = None, update: Update | None = None) -> Array:
        return predict_tags(model, self.batches.encoded, sequences, update=update)


class TagCoder:
    """Words, or pieces of the student's tokenizer, and their tags."""

    head: Head = "tokens"
    readout = TagReadout()

    def __init__(self, config: TaggerRunConfig, rows: TaggerRows) -> None:
        self._config = config
        self._rows = rows
        self.outputs = teacher_tags(config) or tag_names(rows.labels, config.task.scheme)
        self._units: dict[Split, list[list[Range]]] = {}
        self._measured: dict[Split, list[EncodedUnits]] = {"dev": [], "test": []}
        """Development and held-out rows encoded for the student, then for a teacher with a model."""
        self._read_U: NDArray[np.bool_] | None = None
        """Training units that every model of the run reads; teacher and student cannot be compared on others."""

    def call(self, model: Any) -> None:
        """Name the tags, if a model has no names for them."""
        model.config.id2label = dict(enumerate(self.outputs))
        model.config.label2id = {tag: i for i, tag in enumerate(self.outputs)}

    def require(self, model: Any, name: str) -> None:
        """Do nothing: its tags were compared with the task's when the rows were read (`teacher_tags`)."""

    def start(self, tokenizer: Any, models: Sequence[Any]) -> None:
        """Define the units: words, or for rows of text the pieces of the student's tokenizer."""
        splits: tuple[Split, ...] = ("train", "test") if self._rows.dev is None else ("train", "dev", "test")
        for split in splits:
            self._units[split] = [units_of(row, tokenizer) for row in self._rows.part(split).rows]

    def begin(self, student: Any, teacher: Any) -> None:
        """Logits have no unit."""

    def encode(self, split: Split, tokenizer: Any, max_length: int, padding: Padding) -> Coded:
        """Tokenise texts, and find the units in them."""
        rows, units = self._rows.part(split).rows, self._units[split]
        encoded = encode_units(rows, units, tokenizer, max_length, padding)
        if split != "train":
            self._measured[split].append(encoded)
            return _Coded(TagBatches(encoded, np.empty(0, dtype=np.int64)))
        if self._read_U is None:
            self._read_U = np.ones(encoded.units, dtype=np.bool_)
        self._read_U &= encoded.position_U >= 0
        return _Coded(TagBatches(encoded, self._ids([row.spans for row in rows], "train"), self._read_U))

    def answers(self, split: Split) -> Array | None:
        """Return certain logits of the tags that the teacher gave; ``None`` if a held-out row has none."""
        spans = [row.teacher_spans for row in self._rows.part(split).rows]
        if not self._config.teacher.columns or (split == "test" and any(given is None for given in spans)):
            return None
        ids = self._ids([given or () for given in spans], split)
        logits = np.full((len(ids), len(self.outputs)), -np.inf, dtype=np.float32)
        logits[np.arange(len(ids)), ids] = 0
        return logits

    def signals(self, outputs: Array, student: Coded, states: Teacher | None) -> Teacher:
        """Return the source of the teacher's logits, for units that the student reads."""
        assert isinstance(student, _Coded)
        return StoredOutputs(outputs, states, student.batches.encoded.places)

    def finish(self, model: Any) -> None:
        """A tagger's logits have no unit."""

    def measure(
        self, systems: Sequence[System], outputs: Mapping[str, Mapping[int, Array]], split: Split = "test"
    ) -> Measured:
        """Return all figures of the held-out rows, or of development rows."""
        held_out = HeldOut(
            rows=self._rows.part(split).rows,
            units=self._units[split],
            encoded=self._measured[split][0],
            by_teacher=self._measured[split][-1] if self._config.teacher.model is not None else None,
            labels=self._rows.labels,
            tags=self.outputs,
            scheme=self._config.task.scheme,
        )
        return measure_tagger(systems, outputs, held_out)

    def task_values(self) -> dict[str, Any]:
        """Return fields, scheme and labels."""
        return {**self._config.task.model_dump(), "labels": self._rows.labels}

    def notes(self) -> list[str]:
        """Warn of gold entities that begin or end inside of a piece of the student's tokenizer."""
        splits: tuple[Split, Split] = ("train", "test")
        lost = sum(
            lost_spans([row.spans for row in self._rows.part(split).rows], self._units[split]) for split in splits
        )
        return [f"{lost} gold entities begin or end inside of a piece of the student's tokenizer"] if lost else []

    def _ids(self, spans: Sequence[Any], split: Split) -> NDArray[np.int64]:
        """Return the index in `outputs` of each unit's tag."""
        names = tag_names(self._rows.labels, self._config.task.scheme)
        place = np.array([self.outputs.index(name) for name in names])
        ids = tag_ids(spans, self._units[split], self._rows.labels, self._config.task.scheme)
        return np.where(ids >= 0, place[np.maximum(ids, 0)], ids)
