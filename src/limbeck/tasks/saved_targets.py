"""A saved student with a row of outputs for each text or pair: for regression and multi-label classification."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from limbeck.data.encode import encode_rows
from limbeck.data.records import Fields
from limbeck.data.targets.rows import TargetRows
from limbeck.evaluation.measured import Measured
from limbeck.evaluation.predict import predict_logits
from limbeck.results.record import Results, System
from limbeck.tasks.batches import batches
from limbeck.tasks.new_texts import NewText, new_texts, rows_of
from limbeck.tasks.options import Options
from limbeck.tasks.saved_head import EvaluateOptions, Read, SavedHead, evaluate_heads
from limbeck.types import Progress

__all__ = ["SavedTargets"]

_ROWS_AT_ONCE = 64

Task = TypeVar("Task", bound=Any)
Array = NDArray[np.float32]


@dataclass
class SavedTargets(Generic[Task]):
    """See `limbeck.tasks.task.Student`."""

    model: str
    """A folder that `limbeck distill` wrote."""
    students: str
    """The word for such students in messages."""
    task: type[Task]
    read: Callable[[str, Task, list[str]], tuple[TargetRows[Any], NDArray[np.float64]]]
    """Reads held-out rows with their gold targets, for outputs given by name."""
    answer: Callable[[Array, list[str]], dict[str, Any]]
    """Converts a row of outputs to an answer."""
    measure: Callable[[Sequence[System], Mapping[str, Mapping[int, Array]], NDArray[np.float64], list[str]], Measured]

    predict_options = Options
    evaluate_options = EvaluateOptions

    def rows(self, file: str, options: Options) -> Iterator[NewText]:
        """Yield the texts, or pairs of texts."""
        return new_texts(file, Fields(self._student.task.text, self._student.task.text_pair))

    def predict(self, rows: Iterable[NewText], options: Options) -> Iterator[dict[str, Any]]:
        """Yield each text with its answer."""
        student = self._student
        for batch in batches(rows, _ROWS_AT_ONCE):
            encoded = encode_rows(rows_of(batch), student.tokenizer, student.max_length, student.padding)
            for row, outputs in zip(batch, predict_logits(student.model, encoded), strict=True):
                yield {**row.fields, **self.answer(outputs, student.outputs)}

    def evaluate(self, data: str, options: EvaluateOptions, progress: Progress) -> Results:
        """Return the figures on held-out rows, and those of another model with the differences."""
        student = self._student
        rows, gold = self.read(data, student.task, student.outputs)

        def read(one: SavedHead[Any]) -> Read:
            inputs = encode_rows(rows.rows, one.tokenizer, one.max_length, one.padding)
            return inputs, lambda update: predict_logits(one.model, inputs, update=update)

        models = {self.model: student}
        if options.against is not None:
            models[options.against] = SavedHead(options.against, self.task, "rows")
        return evaluate_heads(
            student.task.kind,
            models,
            read,
            lambda systems, outputs: self.measure(systems, outputs, gold, student.outputs),
            len(gold),
            progress,
        )

    @cached_property
    def _student(self) -> SavedHead[Task]:
        return SavedHead(self.model, self.task, "rows")
