"""Output of the readers: a record, or the reason why there is none."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import shorten
from typing import Literal, NamedTuple

from limbeck.errors import ConfigError

__all__ = ["BadRow", "Fields", "Record", "Unit", "brief", "excerpt", "named_fields", "printable"]

Unit = Literal["line", "row"]
"""The unit of a record's number: lines of a text file, or rows if a format has no lines."""

_LONGEST_REASON = 300


@dataclass(frozen=True)
class Fields:
    """The names of a task's fields in the user's rows."""

    text: str
    """The text, or the first text of a pair."""
    text_pair: str | None = None
    """The second text of a pair; ``None`` for tasks on single texts."""
    label: str | None = None
    """The label; ``None``: do not read labels."""
    teacher_label: str | None = None
    """A teacher's label for the row; ``None``: do not read it."""
    teacher_confidence: str | None = None
    """The teacher's confidence in it, from 0 to 1; ``None``: do not read it."""
    teacher_rationale: str | None = None
    """The teacher's rationale for its label; ``None``: do not read it."""
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
    """Return the fields named by options, ``None`` if none. Raises `ConfigError` if only the text is missing."""
    if text is None and (text_pair or label):
        raise ConfigError("--text-pair and --label go with --text: name all fields of the rows")
    return Fields(text, text_pair, label) if text else None


class Record(NamedTuple):
    """One row as it was read, not yet checked."""

    number: int
    row: Mapping[str, object]
    unit: Unit = "line"


class BadRow(NamedTuple):
    """The reason why one row cannot be used."""

    number: int
    field: str | None
    """The bad field; ``None`` if the whole row is bad."""
    reason: str
    row: object
    """The row: its raw text, or its fields if it could be split."""
    unit: Unit = "line"
    looks_like: tuple[str, str] | None = None
    """An unknown label, and the known one that it looks like."""

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
    """Return `message` cut to a length suitable for a list of messages."""
    return message if len(message) <= _LONGEST_REASON else shorten(message, _LONGEST_REASON, placeholder=" ...")


def excerpt(value: object) -> str:
    """Return a short, printable form of any value."""
    return reprlib.repr(value)
