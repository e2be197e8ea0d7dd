"""`limbeck predict` and `limbeck evaluate` for masked language models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from pydantic import PositiveInt

from limbeck.data.checks import check_record
from limbeck.data.generation.checks import check_example
from limbeck.data.generation.load import load_examples
from limbeck.data.generation.records import Example
from limbeck.data.generation.task import Generation
from limbeck.data.lines import is_by_line, read_lines, sound
from limbeck.data.records import Fields
from limbeck.results.record import Results
from limbeck.tasks.masked_lm.predict import Filler, evaluate_masked
from limbeck.tasks.options import Options
from limbeck.types import Origin, Progress

__all__ = ["SavedMaskedLM"]

_PLAIN = "line"
"""Field of a text given as a plain line."""
_BEST_TOKENS = 5


class PredictOptions(Options):
    """What is written."""

    top: PositiveInt | None = None
    """Most likely tokens for each mask; ``None``: 5."""


class EvaluateOptions(Options):
    """What is measured."""

    against: str | None = None
    """A masked language model to compare with, such as the teacher; it must have the same tokens."""


class SavedMaskedLM:
    """A masked language model; see `limbeck.tasks.task.Student`.

    Args:
        model: the folder that `limbeck distill` wrote.
    """

    students = "masked language models"
    predict_options = PredictOptions
    evaluate_options = EvaluateOptions

    def __init__(self, model: str) -> None:
        self._model = model

    def rows(self, file: str, options: PredictOptions) -> Iterator[Example]:
        """Yield texts; a line that is not a JSON object is itself a text."""
        task = Generation(text=self._filler.task.text)
        if not is_by_line(file):
            yield from load_examples(file, task, split="test").rows
            return
        for name, found, is_object in read_lines(file, _PLAIN):
            record = sound(name, found)
            if is_object:
                yield sound(name, check_example(record, task, name, require_completion=False))
            else:
                text = sound(name, check_record(record, Fields(_PLAIN), None)).text
                yield Example((), text, Origin(name, record.number))

    def predict(self, rows: Iterable[Example], options: PredictOptions) -> Iterator[dict[str, Any]]:
        """Yield each text with the most likely tokens for each of its masks."""
        return self._filler.fill(iter(rows), options.top or _BEST_TOKENS)

    def evaluate(self, data: str, options: EvaluateOptions, progress: Progress) -> Results:
        """Return the loss per masked token, accuracy and size; next to another model also how close they are."""
        return evaluate_masked(self._model, data, against=options.against, progress=progress)

    @cached_property
    def _filler(self) -> Filler:
        return Filler(self._model)
