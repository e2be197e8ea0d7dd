"""A saved classifier with several labels at work on new texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from limbeck.data.encode import encode_rows
from limbeck.data.records import Fields
from limbeck.data.targets.multi_label import MultiLabel, label_matrix, load_label_sets
from limbeck.evaluation.predict import predict_logits, sigmoid
from limbeck.results.record import Results
from limbeck.tasks.batches import batches
from limbeck.tasks.multi_label.measure import measure_label_sets
from limbeck.tasks.new_texts import NewText, new_texts, rows_of
from limbeck.tasks.options import Options
from limbeck.tasks.saved_head import EvaluateOptions, Read, SavedHead, evaluate_heads
from limbeck.types import Progress

__all__ = ["SavedLabelSets"]

_ROWS_AT_ONCE = 64


class SavedLabelSets:
    """A student that gives any number of labels; see `limbeck.tasks.task.Student`.

    Args:
        model: a folder that `limbeck distill` wrote.
    """

    students = "students that give several labels"
    predict_options = Options
    evaluate_options = EvaluateOptions

    def __init__(self, model: str) -> None:
        self._model = model

    def rows(self, file: str, options: Options) -> Iterator[NewText]:
        """Yield the texts, or pairs of texts."""
        return new_texts(file, Fields(self._student.task.text, self._student.task.text_pair))

    def predict(self, rows: Iterable[NewText], options: Options) -> Iterator[dict[str, Any]]:
        """Yield each text with the labels whose probability is above 0.5, and the probabilities of all."""
        student = self._student
        for batch in batches(rows, _ROWS_AT_ONCE):
            texts = rows_of(batch)
            encoded = encode_rows(texts, student.tokenizer, student.max_length, student.padding)
            for row, logits in zip(batch, predict_logits(student.model, encoded), strict=True):
                probabilities = dict(zip(student.outputs, sigmoid(logits).round(6).tolist(), strict=True))
                labels = [label for label, logit in zip(student.outputs, logits, strict=True) if logit > 0]
                yield {**row.fields, "labels": labels, "probabilities": probabilities}

    def evaluate(self, data: str, options: EvaluateOptions, progress: Progress) -> Results:
        """Return the figures on held-out rows, and those of another model with the differences."""
        student, task = self._student, self._student.task
        rows = load_label_sets(data, task, labels=student.outputs, split="test")
        gold = label_matrix(rows.targets, student.outputs)

        def read(one: SavedHead[Any]) -> Read:
            inputs = encode_rows(rows.rows, one.tokenizer, one.max_length, one.padding)
            return inputs, lambda update: predict_logits(one.model, inputs, update=update)

        models = {self._model: student}
        if options.against is not None:
            models[options.against] = SavedHead(options.against, MultiLabel, "rows")
        return evaluate_heads(
            task.kind,
            models,
            read,
            lambda systems, outputs: measure_label_sets(systems, outputs, gold, student.outputs),
            len(gold),
            progress,
        )

    @cached_property
    def _student(self) -> SavedHead[MultiLabel]:
        return SavedHead(self._model, MultiLabel, "rows")
