"""A saved model of numbers at work on new texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from limbeck.data.encode import encode_rows
from limbeck.data.records import Fields
from limbeck.data.targets.regression import Regression
from limbeck.evaluation.predict import predict_logits
from limbeck.tasks.batches import batches
from limbeck.tasks.new_texts import NewText, new_texts, rows_of
from limbeck.tasks.options import Options
from limbeck.tasks.saved_head import SavedHead

__all__ = ["SavedRegressor"]

_ROWS_AT_ONCE = 64


class SavedRegressor:
    """A student that gives numbers; see `limbeck.tasks.task.Student`.

    Args:
        model: a folder that `limbeck distill` wrote.
    """

    students = "students that give numbers"
    predict_options = Options

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

    @cached_property
    def _student(self) -> SavedHead[Regression]:
        return SavedHead(self._model, Regression, "rows")
