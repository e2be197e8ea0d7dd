"""A saved model of numbers at work on new texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from limbeck.data.encode import encode_rows
from limbeck.data.records import Fields
from limbeck.data.targets.regression import Regression, load_values, value_matrix
from limbeck.evaluation.predict import predict_logits
from limbeck.results.record import Results
from limbeck.tasks.batches import batches
from limbeck.tasks.new_texts import NewText, new_texts, rows_of
from limbeck.tasks.options import Options
from limbeck.tasks.regression.measure import measure_regression
from limbeck.tasks.saved_head import EvaluateOptions, Read, SavedHead, evaluate_heads
from limbeck.types import Progress

__all__ = ["SavedRegressor"]

_ROWS_AT_ONCE = 64


class SavedRegressor:
    """A student that gives numbers; see `limbeck.tasks.task.Student`.

    Args:
        model: a folder that `limbeck distill` wrote.
    """

    students = "students that give numbers"
    predict_options = Options
    evaluate_options = EvaluateOptions

    def __init__(self, model: str) -> None:
        self._model = model

    def rows(self, file: str, options: Options) -> Iterator[NewText]:
        """Yield the texts, or pairs of texts."""
        return new_texts(file, Fields(self._student.task.text, self._student.task.text_pair))

    def predict(self, rows: Iterable[NewText], options: Options) -> Iterator[dict[str, Any]]:
        """Yield each text with its numbers, in the units that the student was trained on."""
        student = self._student
        for batch in batches(rows, _ROWS_AT_ONCE):
            texts = rows_of(batch)
            encoded = encode_rows(texts, student.tokenizer, student.max_length, student.padding)
            for row, values in zip(batch, predict_logits(student.model, encoded).tolist(), strict=True):
                yield {**row.fields, **dict(zip(student.task.names, values, strict=True))}

    def evaluate(self, data: str, options: EvaluateOptions, progress: Progress) -> Results:
        """Return the figures on held-out rows, and those of another model with the differences."""
        student, task = self._student, self._student.task
        rows = load_values(data, task, split="test")
        gold = value_matrix(rows.targets, task.names)

        def read(one: SavedHead[Any]) -> Read:
            inputs = encode_rows(rows.rows, one.tokenizer, one.max_length, one.padding)
            return inputs, lambda update: predict_logits(one.model, inputs, update=update)

        models = {self._model: student}
        if options.against is not None:
            models[options.against] = SavedHead(options.against, Regression, "rows")
        return evaluate_heads(
            task.kind,
            models,
            read,
            lambda systems, outputs: measure_regression(systems, outputs, gold, task.names),
            len(gold),
            progress,
        )

    @cached_property
    def _student(self) -> SavedHead[Regression]:
        return SavedHead(self._model, Regression, "rows")
