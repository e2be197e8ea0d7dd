"""The `Coder` of regression models.

Students learn numbers of mean 0 and standard deviation 1: heads start near 0 and are trained with learning rates that
are independent of units such as euros or years. The scale is that of the training rows' gold numbers, or of the
teacher's if there are none. It is folded into the last linear map of an exported student and of a teacher fine-tuned
here, so all answers, including those on disk, are in the user's units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from limbeck.data.targets.regression import Scale, scale_of, value_matrix
from limbeck.evaluation.measured import Measured
from limbeck.losses.readout import ValueReadout
from limbeck.models.classifier_head import head_layer
from limbeck.models.load import Head
from limbeck.models.output_scale import fold_scale
from limbeck.models.padding import Padding
from limbeck.models.problem_type import require_problem
from limbeck.results.record import System
from limbeck.tasks.coded_targets import CodedTargets, coded_targets
from limbeck.tasks.head_coder import Array, Coded, Split
from limbeck.tasks.regression.config import RegressorRunConfig
from limbeck.tasks.regression.measure import measure_regression
from limbeck.tasks.regression.rows import RegressorRows
from limbeck.teachers.standardised import StandardisedTeacher
from limbeck.teachers.stored_outputs import StoredOutputs
from limbeck.types import Teacher

__all__ = ["ValueCoder"]


class ValueCoder:
    """Real numbers of texts or pairs."""

    head: Head = "rows"
    readout = ValueReadout()

    def __init__(self, config: RegressorRunConfig, rows: RegressorRows) -> None:
        self._config = config
        self._rows = rows
        self.outputs = rows.labels
        self._scale: Scale | None = None
        self._has_bias = True
        self._settle()

    def _settle(self) -> None:
        """Take the scale from the gold numbers, or from a teacher's numbers in the rows."""
        answers = self._rows.train.targets if self._rows.labelled else self._rows.train.teacher_targets
        if answers is not None:
            names = self._config.task.names
            self._scale = self._with_mean(scale_of(value_matrix(answers, names), names))

    def _with_mean(self, scale: Scale) -> Scale:
        return scale if self._has_bias else scale._replace(mean=np.zeros_like(scale.mean))

    def call(self, model: Any) -> None:
        """Record names of the outputs in a configuration, and that they are numbers."""
        config = model.config
        config.problem_type = "regression"
        config.id2label, config.label2id = dict(enumerate(self.outputs)), {n: i for i, n in enumerate(self.outputs)}

    def require(self, model: Any, name: str) -> None:
        """Refuse a finished teacher with other outputs. Raises `ModelError`."""
        require_problem(model.config, "regression", name, "Use a regression model, or add teacher.fine_tune")
        model.in_units = True

    def start(self, tokenizer: Any, models: Sequence[Any]) -> None:
        """Keep the mean if the last map of a model has no bias to hold it."""
        self._has_bias = all(head_layer(model).bias is not None for model in models)
        self._settle()

    def begin(self, student: Any, teacher: Any) -> None:
        """Remove the user's units from a student that is made of a teacher's layers."""
        if self._scale is not None and getattr(teacher, "in_units", False):
            fold_scale(student, -self._scale.mean / self._scale.deviation, 1 / self._scale.deviation)

    def encode(self, split: Split, tokenizer: Any, max_length: int, padding: Padding) -> CodedTargets:
        """Tokenise rows."""
        part = self._rows.part(split)
        targets = value_matrix(part.targets, self._config.task.names)
        if self._scale is not None:
            targets = self._scale.standardised(targets)
        return coded_targets(part, targets, tokenizer, max_length, padding, in_units=self._in_units)

    def answers(self, split: Split) -> Array | None:
        """Return the numbers that the teacher gave; ``None`` if a held-out row has none."""
        given = self._rows.part(split).teacher_targets
        if given is None or (split == "test" and any(row is None for row in given)):
            return None
        return value_matrix(given, self._config.task.names).astype(np.float32)

    def signals(self, outputs: Array, student: Coded, states: Teacher | None) -> Teacher:
        """Return the source of the teacher's numbers, without their unit."""
        scale = self.scale_with(outputs)
        live = None if states is None else StandardisedTeacher(states, *scale)
        return StoredOutputs(scale.standardised(outputs.astype(np.float64)).astype(np.float32), live)

    def scale_with(self, outputs: Array) -> Scale:
        """Return the scale; if rows have no gold numbers, that of the teacher's `outputs`."""
        if self._scale is None:
            self._scale = self._with_mean(scale_of(outputs.astype(np.float64), self._config.task.names))
        return self._scale

    def finish(self, model: Any) -> None:
        """Fold the scale into the last map."""
        assert self._scale is not None
        fold_scale(model, *self._scale)
        model.in_units = True

    def measure(
        self, systems: Sequence[System], outputs: Mapping[str, Mapping[int, Array]], split: Split = "test"
    ) -> Measured:
        """Return all figures of the held-out rows, or of development rows."""
        gold = value_matrix(self._rows.part(split).targets, self._config.task.names)
        return measure_regression(systems, outputs, gold, self.outputs)

    def notes(self) -> list[str]:
        """Nothing."""
        return []

    def task_values(self) -> dict[str, Any]:
        """Return the fields."""
        return self._config.task.model_dump()

    def _in_units(self, model: Any, outputs_NC: Array) -> Array:
        if getattr(model, "in_units", False) or self._scale is None:
            return outputs_NC
        return self._scale.in_units(outputs_NC.astype(np.float64)).astype(np.float32)
