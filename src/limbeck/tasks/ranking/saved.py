"""`limbeck predict` and `limbeck evaluate` with a cross-lingual student."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from pydantic import PositiveInt, model_validator

from limbeck.data.records import Fields
from limbeck.errors import DataError
from limbeck.results.record import Results
from limbeck.tasks.new_texts import NewText, best_labels, new_texts
from limbeck.tasks.options import Options
from limbeck.tasks.ranking.evaluate import EvaluateOptions, evaluate_languages
from limbeck.tasks.ranking.predict import Ranker
from limbeck.types import Progress

__all__ = ["SavedRanker"]


class PredictOptions(Options):
    """Options of `limbeck predict`."""

    lang: str | None = None
    """The language of all texts."""
    lang_field: str = "lang"
    """Field with each row's language."""
    task: str | None = None
    """Which of the student's tasks; ``None``: the only one."""
    top: PositiveInt | None = None
    """Best labels whose probabilities are kept; ``None``: all."""

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> PredictOptions:
        if {"lang", "lang_field"} <= self.model_fields_set:
            raise ValueError("--lang and --lang-field: give one language for all rows, or the field that has it")
        return self


class SavedRanker:
    """A cross-lingual student; see `limbeck.tasks.task.Student`.

    Args:
        model: the folder that `limbeck distill` wrote.
    """

    students = "cross-lingual students"
    predict_options = PredictOptions
    evaluate_options = EvaluateOptions

    def __init__(self, model: str) -> None:
        self._model = model

    def rows(self, file: str, options: PredictOptions) -> Iterator[NewText]:
        """Yield the texts, or pairs of texts, each with its language as `NewText.label`."""
        if options.lang is not None:
            self._ranker.known_language(options.lang)
        pair = "text_pair" if self._ranker.known_task(options.task) in self._ranker.task.pairs else None
        # The reader of labels reads languages as well: short names, one a row.
        rows = new_texts(file, Fields("text", pair, None if options.lang else options.lang_field))
        return (_with_language(row, options) for row in rows)

    def predict(self, rows: Iterable[NewText], options: PredictOptions) -> Iterator[dict[str, Any]]:
        """Yield label, confidence, probabilities and language of each row."""
        texts = ((row.text, row.text_pair, str(row.label)) for row in rows)
        return best_labels(self._ranker.predict_stream(texts, options.task), options.top)

    def evaluate(self, data: str, options: EvaluateOptions, progress: Progress) -> Results:
        """Return accuracy and mean reciprocal rank in each language of a data set's folder."""
        return evaluate_languages(self._model, data, options, progress)

    @cached_property
    def _ranker(self) -> Ranker:
        return Ranker(self._model)


def _with_language(row: NewText, options: PredictOptions) -> NewText:
    if options.lang is not None:
        return row._replace(label=options.lang)
    if row.label is None:
        hint = f"no language in field '{options.lang_field}'; or give one for all rows with --lang"
        raise DataError(f"{row.where}: {hint}")
    return row
