"""The `Coder` of multi-label classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from limbeck.data.targets.multi_label import label_matrix
from limbeck.evaluation.measured import Measured
from limbeck.losses.readout import LabelReadout
from limbeck.models.load import Head
from limbeck.models.padding import Padding
from limbeck.models.problem_type import require_problem
from limbeck.results.record import System
from limbeck.tasks.coded_targets import CodedTargets, coded_targets
from limbeck.tasks.head_coder import Array, Coded, Split
from limbeck.tasks.multi_label.config import LabelSetRunConfig
from limbeck.tasks.multi_label.measure import measure_label_sets
from limbeck.tasks.multi_label.rows import LabelSetRows
from limbeck.teachers.stored_outputs import StoredOutputs
from limbeck.types import Teacher

__all__ = ["LabelSetCoder"]


_SURE = 30.0
"""Logit of a label that a teacher gave: a probability of 1 - 1e-13."""


class LabelSetCoder:
    """Labels of texts or pairs that are not mutually exclusive."""

    head: Head = "rows"
    readout = LabelReadout()

    def __init__(self, config: LabelSetRunConfig, rows: LabelSetRows) -> None:
        self._config = config
        self._rows = rows
        self.outputs = rows.labels

    def call(self, model: Any) -> None:
        """Record names of the labels in a configuration, and that they are not mutually exclusive."""
        config = model.config
        config.problem_type = "multi_label_classification"
        config.id2label, config.label2id = dict(enumerate(self.outputs)), {n: i for i, n in enumerate(self.outputs)}

    def require(self, model: Any, name: str) -> None:
        """Refuse a finished teacher with other outputs. Raises `ModelError`."""
        advice = "Use a multi-label model, or add teacher.fine_tune"
        require_problem(model.config, "multi_label_classification", name, advice)

    def start(self, tokenizer: Any, models: Sequence[Any]) -> None:
        """Nothing depends on the tokenizer."""

    def begin(self, student: Any, teacher: Any) -> None:
        """Logits have no unit."""

    def encode(self, split: Split, tokenizer: Any, max_length: int, padding: Padding) -> CodedTargets:
        """Tokenise rows."""
        part = self._rows.part(split)
        return coded_targets(part, label_matrix(part.targets, self.outputs), tokenizer, max_length, padding)

    def answers(self, split: Split) -> Array | None:
        """Return sure logits of the labels that the teacher gave; ``None`` if a held-out row has none."""
        given = self._rows.part(split).teacher_targets
        if given is None or (split == "test" and any(row is None for row in given)):
            return None
        there = label_matrix([row or () for row in given], self.outputs)
        return np.where(there > 0, _SURE, -_SURE).astype(np.float32)

    def signals(self, outputs: Array, student: Coded, states: Teacher | None) -> Teacher:
        """Return the source of the teacher's logits."""
        return StoredOutputs(outputs, states)

    def finish(self, model: Any) -> None:
        """Logits have no unit."""

    def measure(
        self, systems: Sequence[System], outputs: Mapping[str, Mapping[int, Array]], split: Split = "test"
    ) -> Measured:
        """Return all figures of the held-out rows, or of development rows."""
        return measure_label_sets(
            systems, outputs, label_matrix(self._rows.part(split).targets, self.outputs), self.outputs
        )

    def notes(self) -> list[str]:
        """Nothing."""
        return []

    def task_values(self) -> dict[str, Any]:
        """Return fields and labels."""
        values = self._config.task.model_dump()
        return values if isinstance(self._config.task.label, list) else {**values, "labels": self.outputs}
