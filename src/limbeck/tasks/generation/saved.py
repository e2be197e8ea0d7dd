"""`limbeck predict` and `limbeck evaluate` for generative students."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from pydantic import NonNegativeFloat, PositiveInt

from limbeck.data.checks import check_record
from limbeck.data.generation.checks import check_example
from limbeck.data.generation.load import load_examples
from limbeck.data.generation.records import Example, Message
from limbeck.data.lines import is_by_line, read_lines, sound
from limbeck.data.records import Fields
from limbeck.results.record import Results
from limbeck.results.sections import Harness
from limbeck.tasks.generation.harness import evaluate_tasks, named_tasks
from limbeck.tasks.generation.predict import WritingStudent, evaluate_texts
from limbeck.tasks.options import Options
from limbeck.types import Origin, Progress

__all__ = ["SavedWriter"]

_PLAIN = "line"
"""Field of a prompt given as a plain line."""


class PredictOptions(Options):
    """How prompts are answered."""

    max_new_tokens: PositiveInt | None = None
    """Longest answer in tokens; ``None``: 128, or half the student's context if that is less."""
    temperature: NonNegativeFloat = 0.0
    """Of sampling; 0: always the most likely token."""


class EvaluateOptions(Options):
    """What is measured."""

    against: str | None = None
    """A language model to compare with, such as the teacher."""
    lm_eval: str | None = None
    """Tasks of lm-eval, separated by commas."""


class SavedWriter:
    """A generative student; see `limbeck.tasks.task.Student`.

    Args:
        model: the folder that `limbeck distill` wrote.
    """

    students = "generative students"
    predict_options = PredictOptions
    evaluate_options = EvaluateOptions

    def __init__(self, model: str) -> None:
        self._model = model

    def rows(self, file: str, options: PredictOptions) -> Iterator[Example]:
        """Yield prompts; a line that is not a JSON object is itself a prompt."""
        task = self._writer.prompts
        if not is_by_line(file):
            yield from load_examples(file, task, require_completion=False, split="test").rows
            return
        for name, found, is_object in read_lines(file, _PLAIN):
            record = sound(name, found)
            if is_object:
                yield sound(name, check_example(record, task, name, require_completion=False))
            else:
                prompt = sound(name, check_record(record, Fields(_PLAIN), None)).text
                yield Example((Message("user", prompt),), None, Origin(name, record.number))

    def predict(self, rows: Iterable[Example], options: PredictOptions) -> Iterator[dict[str, Any]]:
        """Yield prompt, answer, and whether the token limit cut it off."""
        return self._writer.write_stream(
            iter(rows), max_new_tokens=options.max_new_tokens, temperature=options.temperature
        )

    def evaluate(self, data: str, options: EvaluateOptions, progress: Progress) -> Results:
        """Return perplexity, figures of the student's own answers, size and speed, and of lm-eval if requested."""
        tasks = None if options.lm_eval is None else named_tasks(options.lm_eval)
        results = evaluate_texts(self._model, data, against=options.against, progress=progress)
        if tasks is None:
            return results
        figures = evaluate_tasks(self._model, tasks, against=options.against, progress=progress)
        return results.model_copy(update={"sections": [*results.sections, Harness(figures=figures)]})

    @cached_property
    def _writer(self) -> WritingStudent:
        return WritingStudent(self._model)
