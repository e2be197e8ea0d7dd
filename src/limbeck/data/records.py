"""What readers hand to the checks: a record, or the reason why there is none."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import shorten
from typing import Literal, NamedTuple

from limbeck.errors import ConfigError

__all__ = ["BadRow", "Fields", "Record", "Unit", "brief", "excerpt", "named_fields", "printable"]

Unit = Literal["line", "row"]
"""What a record's number counts: lines of a text file, or rows where a format has no lines."""

_LONGEST_REASON = 300


@dataclass(frozen=True)
class Fields:
    """The names of a task's fields in the user's rows."""

    text: str
    """The text, or the first text of a pair."""
    text_pair: str | None = None
    """The second text of a pair; ``None`` for tasks on single texts."""
    label: str | None = None
    """The label; ``None`` where no labels are to be read."""
    teacher_label: str | None = None
    """The label that a teacher gave the row; ``None`` where none is to be read."""
    teacher_confidence: str | None = None
    """How sure the teacher was of it, from 0 to 1; ``None`` where that is not to be read."""
    teacher_rationale: str | None = None
    """The rationale that a teacher gave for its label; ``None`` where none is to be read."""
    more: tuple[str, ...] = ()
    """Further fields, such as a column for each label."""

    @property
    def required(self) -> tuple[str | None, ...]:
        """The fields that rows must have."""
        return (self.text, self.text_pair)

    @property
    def beside_the_text(self) -> tuple[str | None, ...]:
        """The fields that rows may lack."""
        return (self.label, self.teacher_label, self.teacher_confidence, self.teacher_rationale, *self.more)


def named_fields(text: str | None, text_pair: str | None, label: str | None) -> Fields | None:
    """Return the fields that options name; ``None`` where none is named. Raises `ConfigError` if the text is not."""
    if text is None and (text_pair or label):
        raise ConfigError("--text-pair and --label go with --text: name all fields of the rows")
    return Fields(text, text_pair, label) if text else None


class Record(NamedTuple):
    """One row as it was read, not yet checked."""

    number: int
    row: Mapping[str, object]
    unit: Unit = "line"


class BadRow(NamedTuple):
    """Why one row cannot be used."""

    number: int
    field: str | None
    """The field at fault; ``None`` where the whole row is."""
    reason: str
    row: object
    """The row: its raw text, or its fields where it could be split into them."""
    unit: Unit = "line"
    looks_like: tuple[str, str] | None = None
    """A label that is unknown, and the known one that a reader would take it for."""

    def describe(self, file: str) -> str:
        """Return one line for an error message.

        >>> BadRow(3, "text", "it is empty", {}).describe("a.csv")
        "a.csv, line 3, field 'text': it is empty"
        """
        field = "" if self.field is None else f", field '{self.field}'"
        return f"{file}, {self.unit} {self.number}{field}: {brief(self.reason)}"


def printable(word: str) -> str:
    """Return `word` with control characters and lone surrogates escaped, so that any terminal can show it."""
    return word if word.isprintable() else repr(word)[1:-1]


def brief(message: str) -> str:
    """Return `message` cut to a length that a list of messages can bear."""
    return message if len(message) <= _LONGEST_REASON else shorten(message, _LONGEST_REASON, placeholder=" ...")


def excerpt(value: object) -> str:
    """Return a short, printable form of any value."""
    return reprlib.repr(value)
