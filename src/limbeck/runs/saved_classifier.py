"""`limbeck predict` and `limbeck evaluate` with a classifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from pydantic import PositiveInt

from limbeck.data.records import Fields
from limbeck.runs.predictor import Predictor
from limbeck.tasks.new_texts import NewText, best_labels, new_texts
from limbeck.tasks.options import Options

__all__ = ["SavedClassifier"]


class PredictOptions(Options):
    """How texts are labelled."""

    top: PositiveInt | None = None
    """Best labels whose probabilities are kept; ``None``: all."""


class SavedClassifier:
    """A student that labels texts, or any fine-tuned classifier; see `limbeck.tasks.task.Student`.

    Args:
        model: a folder, or the name of a classifier on the hub.
    """

    students = "students that label texts"
    predict_options = PredictOptions

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

    @cached_property
    def _predictor(self) -> Predictor:
        return Predictor(self._model)
