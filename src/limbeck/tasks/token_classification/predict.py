"""Predictions of a saved tagger: entities in new texts, or tags for new words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.lines import is_by_line, read_lines, sound
from limbeck.data.tagging.encode import EncodedUnits, encode_units, spans_from_tags, units_of
from limbeck.data.tagging.rows import TaggedRow, load_tagged, tagged_row
from limbeck.data.tagging.scheme import Span, tags_of
from limbeck.data.tagging.task import TokenClassification
from limbeck.evaluation.measured import Measured
from limbeck.evaluation.predict import predict_tags
from limbeck.results.record import Results, System
from limbeck.tasks.batches import batches
from limbeck.tasks.options import Options
from limbeck.tasks.saved_head import EvaluateOptions, Read, SavedHead, evaluate_heads
from limbeck.tasks.token_classification.measure import HeldOut, measure_tagger
from limbeck.types import Progress

__all__ = ["SavedTagger"]

_ROWS_AT_ONCE = 64


class SavedTagger:
    """A student that finds entities; see `limbeck.tasks.task.Student`.

    Args:
        model: a folder that `limbeck distill` wrote.
    """

    students = "students that find entities"
    predict_options = Options
    evaluate_options = EvaluateOptions

    def __init__(self, model: str) -> None:
        self._model = model

    def rows(self, file: str, options: Options) -> Iterator[TaggedRow]:
        """Yield texts, or rows of words: a line of plain text is split at blanks."""
        task = self._student.task
        if not is_by_line(file):
            yield from load_tagged(file, task, gold=False).rows
            return
        for name, found, _ in read_lines(file, task.words or task.text or ""):
            yield sound(name, tagged_row(sound(name, found), task, gold=False))

    def predict(self, rows: Iterable[TaggedRow], options: Options) -> Iterator[dict[str, Any]]:
        """Yield each text with its entities in characters, and for each row of words also their tags."""
        for batch in batches(rows, _ROWS_AT_ONCE):
            yield from (self._answer(row, spans) for row, spans in zip(batch, self.entities(batch), strict=True))

    def evaluate(self, data: str, options: EvaluateOptions, progress: Progress) -> Results:
        """Return the figures on held-out rows, and those of another tagger with the differences."""
        student, task = self._student, self._student.task
        rows = load_tagged(data, task, labels=task.labels, split="test").rows
        units = [units_of(row, student.tokenizer) for row in rows]
        encoded: list[EncodedUnits] = []

        def read(one: SavedHead[Any]) -> Read:
            found = encode_units(rows, units, one.tokenizer, one.max_length, one.padding)
            encoded.append(found)
            return found.windows, lambda update: predict_tags(one.model, found, update=update)

        def measure(systems: Sequence[System], outputs: Mapping[str, Mapping[int, NDArray[np.float32]]]) -> Measured:
            by_teacher = encoded[1] if len(encoded) > 1 else None
            held_out = HeldOut(rows, units, encoded[0], by_teacher, task.labels or [], student.outputs, task.scheme)
            return measure_tagger(systems, outputs, held_out)

        models = {self._model: student}
        if options.against is not None:
            models[options.against] = SavedHead(options.against, TokenClassification, "tokens")
        return evaluate_heads(task.kind, models, read, measure, len(rows), progress)

    def entities(self, rows: list[TaggedRow]) -> list[tuple[Span, ...]]:
        """Return the entities of each row, in characters of its text."""
        student = self._student
        units = [units_of(row, student.tokenizer) for row in rows]
        encoded = encode_units(rows, units, student.tokenizer, student.max_length, student.padding)
        tags_U = predict_tags(student.model, encoded).argmax(axis=-1)
        return spans_from_tags(tags_U, encoded, units, student.outputs, student.task.scheme)

    def _answer(self, row: TaggedRow, spans: tuple[Span, ...]) -> dict[str, Any]:
        entities = [{**span._asdict(), "text": row.text[span.start : span.end]} for span in spans]
        if row.words is None:
            return {"text": row.text, "spans": entities}
        starts = {start: index for index, (start, _) in enumerate(row.words)}
        ends = {end: index + 1 for index, (_, end) in enumerate(row.words)}
        in_words = [Span(starts[start], ends[end], label) for start, end, label in spans]
        words = [row.text[start:end] for start, end in row.words]
        return {"words": words, "tags": tags_of(in_words, len(words), self._student.task.scheme), "spans": entities}

    @cached_property
    def _student(self) -> SavedHead[TokenClassification]:
        return SavedHead(self._model, TokenClassification, "tokens")
