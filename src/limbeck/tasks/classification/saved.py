"""`limbeck predict` and `limbeck evaluate` with a classifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from pydantic import PositiveInt

from limbeck.data.records import Fields, named_fields
from limbeck.results.record import Results
from limbeck.tasks.classification.evaluate import evaluate
from limbeck.tasks.classification.predict import Predictor
from limbeck.tasks.new_texts import NewText, best_labels, new_texts
from limbeck.tasks.options import Options
from limbeck.types import Progress

__all__ = ["SavedClassifier"]


class PredictOptions(Options):
    """Options of labelling."""

    top: PositiveInt | None = None
    """Number of best labels whose probabilities are kept; ``None``: all."""


class EvaluateOptions(Options):
    """Options of the evaluation; fields default to those of the student's task file."""

    against: str | None = None
    """A second model, as the teacher."""
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None


class SavedClassifier:
    """A student that labels texts, or any fine-tuned classifier; see `limbeck.tasks.task.Student`.

    Args:
        model: a folder, or the name of a classifier on the hub.
    """

    students = "students that label texts"
    predict_options = PredictOptions
    evaluate_options = EvaluateOptions

    def __init__(self, model: str) -> None:
        self._model = model

    def rows(self, file: str, options: PredictOptions) -> Iterator[NewText]:
        """Yield the texts, or pairs of texts."""
        task = self._predictor.task
        return new_texts(file, Fields(task.text, task.text_pair))

    def predict(self, rows: Iterable[NewText], options: PredictOptions) -> Iterator[dict[str, Any]]:
        """Yield label, confidence and probabilities of each row."""
        texts = ((row.text, row.text_pair) for row in rows)
        return best_labels(self._predictor.predict_stream(texts), options.top)

    def evaluate(self, data: str, options: EvaluateOptions, progress: Progress) -> Results:
        """Return accuracy, macro F1, calibration, size and speed; with a second model, the differences."""
        fields = named_fields(options.text, options.text_pair, options.label)
        return evaluate(self._model, data, against=options.against, fields=fields, progress=progress)

    @cached_property
    def _predictor(self) -> Predictor:
        return Predictor(self._model)
