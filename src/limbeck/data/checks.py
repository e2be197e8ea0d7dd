"""Checks that a row is usable, and the messages for rows that are not."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from limbeck.data.look_alikes import twin_of
from limbeck.data.records import BadRow, Fields, Record, excerpt, printable
from limbeck.errors import DataError, near_misses

__all__ = [
    "CheckedRow",
    "FieldsMet",
    "Unusable",
    "character_fault",
    "check_characters",
    "check_columns",
    "check_record",
    "label_name",
    "present",
    "refuse_misspelt_label",
    "require_known",
    "text_of",
    "type_name",
]

_MOST_NAMES = 10_000
"""Maximum number of fields kept from rows without a common shape."""
_SAME_WORD = 0.75
"""Similarity from which a field name counts as a misspelling of another; "label" and "lable": 0.8."""

_TYPES = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    bytes: "bytes",
    type(None): "null",
}


class CheckedRow(NamedTuple):
    """A row that can be used."""

    text: str
    text_pair: str | None
    label: str | None
    teacher_label: str | None = None
    teacher_confidence: float | None = None
    teacher_rationale: str | None = None


class Unusable(Exception):
    """The reason why a field is unusable; the check of its row turns it into a `BadRow`."""

    def __init__(self, reason: str, looks_like: tuple[str, str] | None = None) -> None:
        super().__init__(reason)
        self.looks_like = looks_like


def check_record(record: Record, fields: Fields, labels: frozenset[str] | None) -> CheckedRow | BadRow:
    """Check the fields of one row; reports the first bad field.

    Texts are kept unchanged. A label becomes a name: text without white space around it, whole
    numbers as decimals (``3`` and ``3.0`` are both ``"3"``: a column of numbers with gaps is often
    stored as floats), ``true`` and ``false`` as JSON spells them. ``None`` and a missing field mean
    no label.

    Args:
        record: the row.
        fields: the fields to check; others are ignored.
        labels: the allowed names; ``None``: any.
    """
    field = fields.text
    try:
        text = text_of(record, field)
        pair = None
        if fields.text_pair is not None:
            field = fields.text_pair
            pair = text_of(record, field)
        label = None
        if fields.label is not None:
            field = fields.label
            label = _label(record.row.get(field), labels)
        teacher_label, teacher_confidence = None, None
        if fields.teacher_label is not None:
            field = fields.teacher_label
            teacher_label = _label(record.row.get(field), labels)
        if fields.teacher_confidence is not None:
            field = fields.teacher_confidence
            teacher_confidence = _confidence(record.row.get(field))
        teacher_rationale = None
        if fields.teacher_rationale is not None:
            field = fields.teacher_rationale
            teacher_rationale = _rationale(record.row.get(field))
    except Unusable as unusable:
        return BadRow(record.number, field, str(unusable), record.row, record.unit, unusable.looks_like)
    return CheckedRow(text, pair, label, teacher_label, teacher_confidence, teacher_rationale)


def check_columns(name: str, columns: Sequence[str], fields: Fields) -> list[str]:
    """Return the `columns` to read.

    Raises:
        DataError: a text column is missing, a column is there twice, or a label column seems misspelt.
    """
    for field in fields.required:
        if field is not None and field not in columns:
            raise DataError(f"{name} has no column '{field}'; {_suggestion(field, tuple(columns))}")
    refuse_misspelt_label(name, columns, fields)
    wanted = [f for f in (*fields.required, *fields.beside_the_text) if f in columns and f]
    wanted = list(dict.fromkeys(wanted))
    for field in wanted:
        if columns.count(field) > 1:
            raise DataError(f"{name} has {columns.count(field)} columns named '{field}': rename all but one.")
    return wanted


class FieldsMet:
    """The fields that a source's rows have. A field missing from all rows is one error, not one per row.

    Args:
        source: the source's name in messages.
        wanted: the fields to read.
    """

    def __init__(self, source: str, wanted: Iterable[str | None]) -> None:
        self._source = source
        self._wanted = [field for field in wanted if field is not None]
        self.names: dict[str, None] = {}
        """Field names, in order of appearance."""

    def add(self, row: Mapping[str, object]) -> None:
        """Record the fields of a row."""
        few = len(self.names) < _MOST_NAMES
        self.names.update(dict.fromkeys(row if few else [field for field in self._wanted if field in row]))

    def require(self, *fields: str | None) -> None:
        """Refuse the source if it has rows but one of `fields` is in none of them. Raises `DataError`."""
        for field in fields:
            if field is not None and self.names and field not in self.names:
                raise DataError(
                    f"{self._source}: no row has the field '{field}'; {_suggestion(field, tuple(self.names))}"
                )


def refuse_misspelt_label(name: str, columns: Collection[str], fields: Fields) -> None:
    """Refuse rows without the label field if another field has nearly the same name.

    Rows need no labels, so a misspelt name would silently make all of them unlabelled.

    Raises:
        DataError: there is such a field.
    """
    asked = fields.beside_the_text
    other_fields = {*asked, *fields.required}
    others = {column.casefold(): column for column in columns if column not in other_fields}
    for label in asked:
        if label is None or label in columns:
            continue
        close = difflib.get_close_matches(label.casefold(), others, n=1, cutoff=_SAME_WORD)
        if close:
            raise DataError(
                f"{name}: no row has the label field '{label}'; did you mean '{printable(others[close[0]])}'? "
                "If these rows have no labels, rename or drop that field."
            )


def present(record: Record, field: str) -> object:
    """Return the value of a field that every row must have. Raises `Unusable`."""
    if field not in record.row:
        raise Unusable(f"missing; {_suggestion(field, tuple(record.row))}")
    return record.row[field]


def text_of(record: Record, field: str) -> str:
    """Return a text unchanged. Raises `Unusable` if it is missing or only white space."""
    value = present(record, field)
    if not isinstance(value, str):
        raise Unusable(f"expected text, got {type_name(value)}: {excerpt(value)}")
    check_characters(value)
    if not value.strip():
        raise Unusable("white space only" if value else "empty")
    return value


def _label(value: object, labels: frozenset[str] | None) -> str | None:
    if value is None:
        return None
    name = label_name(value)
    require_known(name, labels)
    return name


def require_known(label: str, labels: frozenset[str] | None) -> None:
    """Raise `Unusable` if a label is not in `labels`; ``None``: any is allowed."""
    if labels is not None and label not in labels:
        twin = twin_of(label, labels)
        raise Unusable(_unknown_label(label, labels), None if twin is None else (label, twin))


def label_name(value: object) -> str:
    """Return a label's name as described in `check_record`. Raises `Unusable`."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if value.is_integer():
            return str(int(value))
        case str():
            check_characters(value)
            name = value.strip()
            if not name:
                raise Unusable("empty; leave the field out, or write null, for a row without a label")
            return name
        case _:
            raise Unusable(f"expected text, a whole number, true or false, got {type_name(value)}: {excerpt(value)}")


def _confidence(value: object) -> float | None:
    """Return a number from 0 to 1; text that spells one is accepted, since CSV has only text."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise Unusable(f"expected a confidence from 0 to 1, got {type_name(value)}: {excerpt(value)}")
    return number


def _rationale(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise Unusable(f"expected a rationale in words, got {type_name(value)}: {excerpt(value)}")
    check_characters(value)
    return value.strip() or None


def check_characters(text: str) -> None:
    """Raise `Unusable` if a text has a character that cannot be tokenised or written."""
    if (fault := character_fault(text)) is not None:
        raise Unusable(fault)


def character_fault(text: str) -> str | None:
    """Describe a text's first character that cannot be tokenised or written; ``None`` if there is none."""
    null = text.find("\0")
    if null >= 0:
        return f"character {null + 1} is NUL (\\x00), which tokenizers do not accept"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"character {error.start + 1} is half of a surrogate pair (\\u{ord(text[error.start]):04x})"
    return None


@lru_cache(maxsize=256)
def _unknown_label(name: str, labels: frozenset[str]) -> str:
    return f"unknown label {excerpt(name)}; {near_misses(name, labels)}"


@lru_cache(maxsize=256)
def _suggestion(field: str, keys: tuple[str, ...]) -> str:
    return near_misses(field, map(printable, keys)) if keys else "the row is empty"


def type_name(value: object) -> str:
    """Return the kind of a value, in plain words."""
    return _TYPES.get(type(value), type(value).__name__)
