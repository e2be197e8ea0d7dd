"""Texts for a saved student to label: rows of a file, or lines of standard input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from limbeck.data.checks import check_record
from limbeck.data.lines import is_by_line, read_lines, sound
from limbeck.data.load import load_rows
from limbeck.data.records import Fields
from limbeck.errors import DataError
from limbeck.types import Origin, Rows

__all__ = ["NewText", "best_labels", "new_texts", "rows_of"]


class NewText(NamedTuple):
    """One row, and its origin."""

    where: Origin
    text: str
    text_pair: str | None
    label: str | None
    """The row's value in the field `Fields.label`."""

    @property
    def fields(self) -> dict[str, str]:
        """Return the text, or both texts, as in an answer."""
        return {"text": self.text, **({} if self.text_pair is None else {"text_pair": self.text_pair})}


def new_texts(file: str, fields: Fields) -> Iterator[NewText]:
    """Yield the rows of a file, or of standard input (``-``) as they come.

    Raises:
        DataError: the file or a row cannot be used; rows before it were yielded.
    """
    if not is_by_line(file):
        rows = load_rows(file, fields).rows
        for number, where in enumerate(rows.origin):
            pair = None if rows.text_pair is None else rows.text_pair[number]
            yield NewText(where, rows.text[number], pair, rows.label[number])
        return
    for name, found, is_object in read_lines(file, fields.text):
        record = sound(name, found)
        where = Origin(name, record.number)
        if fields.text_pair and not is_object:
            names = f"{fields.text} and {fields.text_pair}"
            raise DataError(f"{where}: this student reads pairs; give JSON objects with {names}")
        row = sound(name, check_record(record, fields, None))
        yield NewText(where, row.text, row.text_pair, row.label)


def rows_of(texts: list[NewText]) -> Rows:
    """Return rows for a tokenizer."""
    pairs = None if texts[0].text_pair is None else [str(row.text_pair) for row in texts]
    return Rows([row.text for row in texts], pairs, [None] * len(texts), [row.where for row in texts])


def best_labels(answers: Iterable[dict[str, Any]], top: int | None) -> Iterator[dict[str, Any]]:
    """Yield answers with the probabilities of the `top` best labels; ``None``: of all."""
    for answer in answers:
        yield {**answer, "probabilities": dict(list(answer["probabilities"].items())[:top])}
