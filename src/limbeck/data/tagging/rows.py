"""Reading tagged rows: words and tags, or a text and its spans, become a text with character spans."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.data.checks import Unusable, check_characters, present, require_known, text_of
from limbeck.data.load import fingerprint_of, read_checked
from limbeck.data.quarantine import FileCount, OnBadRow
from limbeck.data.readers import LoadDataset
from limbeck.data.records import BadRow, Record, excerpt
from limbeck.data.tagging.scheme import Scheme, Span, spans_of, split_tag, tags_of
from limbeck.data.tagging.task import TokenClassification
from limbeck.errors import DataError
from limbeck.types import Origin

__all__ = ["Range", "TaggedRow", "TaggedRows", "labels_in", "load_tagged", "tagged_row"]

Range = tuple[int, int]
"""Start and end (not included) in characters of a row's text."""


class TaggedRow(NamedTuple):
    """A text and its entities, in characters."""

    text: str
    """The user's text, or the words joined by spaces."""
    words: tuple[Range, ...] | None
    """Where each word is; ``None`` for rows that are a text."""
    spans: tuple[Span, ...] | None
    """Entities in order; ``None``: unlabelled, which differs from having none."""
    teacher_spans: tuple[Span, ...] | None = None
    """A teacher's entities; ``None`` if not requested, or without an answer."""
    repaired: int = 0
    """Tags that break the scheme and were read as conlleval reads them (`spans_of`)."""


@dataclass(frozen=True)
class TaggedRows:
    """Rows that passed every check."""

    rows: list[TaggedRow]
    origin: list[Origin]
    left_out: int
    fingerprint: str
    files: tuple[FileCount, ...]
    columns: tuple[str, ...] = ()
    """Fields that rows have; for tables, those that were read."""

    @property
    def texts(self) -> list[tuple[str, ...]]:
        """The text of each row."""
        return [(row.text,) for row in self.rows]

    @property
    def labelled_N(self) -> NDArray[np.bool_]:
        """Which rows have tags or spans."""
        return np.array([row.spans is not None for row in self.rows], dtype=np.bool_)

    @property
    def taught_N(self) -> NDArray[np.bool_]:
        """Which rows have a teacher's entities."""
        return np.array([row.teacher_spans is not None for row in self.rows], dtype=np.bool_)

    def take(self, indices: list[int]) -> TaggedRows:
        """Return the rows at `indices`, in that order."""
        return replace(
            self, rows=[self.rows[i] for i in indices], origin=[self.origin[i] for i in indices], left_out=0
        )

    @property
    def warnings(self) -> list[str]:
        """Warnings about tags that break their scheme."""
        broken = [(origin, row.repaired) for origin, row in zip(self.origin, self.rows, strict=True) if row.repaired]
        if not broken:
            return []
        tags = sum(repaired for _, repaired in broken)
        return [
            f"Tags in {len(broken):,} rows break the scheme ({tags:,} tags, the first in {broken[0][0]}): a tag that "
            "continues nothing was read as the start of an entity, as conlleval does."
        ]


def load_tagged(
    sources: str | Path | list[str | Path],
    task: TokenClassification,
    *,
    teacher: str | None = None,
    labels: list[str] | None = None,
    gold: bool = True,
    on_bad_row: OnBadRow = "refuse",
    quarantine: Path | None = None,
    base: Path | None = None,
    split: str = "train",
    _load_dataset: LoadDataset | None = None,
) -> TaggedRows:
    r"""Read and check tagged rows; sources, quarantine and errors are those of `limbeck.data.load.load_rows`.

    Args:
        sources: files (``.conll`` too), folders, or ``hub:NAME[:CONFIG][@REVISION]``.
        task: the fields and the scheme.
        teacher: the field with a teacher's tags or spans, in the same form as the user's.
        labels: the allowed labels; ``None``: those of the task, or any.
        gold: whether the user's tags or spans are read.
        on_bad_row: ``"refuse"``, ``"stop"`` or ``"quarantine"``.
        quarantine: where to write the rows left out.
        base: the folder that relative sources start from; ``None``: the current one.
        split: the split to read from the hub.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "rows.conll").write_text("Anna B-PER\nsings O\n\nRome B-LOC\n")
        >>> load_tagged("rows.conll", TokenClassification(words="words"), base=folder).rows[0].spans
        (Span(start=0, end=4, label='PER'),)
    """
    given = labels or task.labels
    known = None if given is None else frozenset(given)
    fields = task.fields(teacher, gold=gold)
    read = read_checked(
        sources,
        fields,
        lambda record: tagged_row(record, task, teacher, known, gold=gold),
        on_bad_row=on_bad_row,
        quarantine=quarantine,
        base=base,
        split=split,
        _load_dataset=_load_dataset,
    )
    fingerprint = fingerprint_of(row[:4] for row in read.rows)
    return TaggedRows(read.rows, read.origin, read.left_out, fingerprint, read.files, read.columns)


def labels_in(rows: list[TaggedRow]) -> list[str]:
    """Return the labels of all entities, a teacher's included, sorted.

    Raises:
        DataError: there is no entity.
    """
    found = {span.label for row in rows for span in (*(row.spans or ()), *(row.teacher_spans or ()))}
    if not found:
        raise DataError(
            f"found no entity in {len(rows)} training rows; a tagger needs at least one. "
            "Check the field of tags or spans, add labelled rows, or give task.labels or a fine-tuned teacher"
        )
    return sorted(found)


def tagged_row(
    record: Record,
    task: TokenClassification,
    teacher: str | None = None,
    labels: frozenset[str] | None = None,
    *,
    gold: bool = True,
) -> TaggedRow | BadRow:
    """Check one row; the first field at fault is named.

    Args:
        record: the row.
        task: its fields.
        teacher: the field with a teacher's tags or spans.
        labels: the allowed labels; ``None``: any.
        gold: whether the user's tags or spans are read.
    """
    field = task.fields().text
    try:
        if task.words is not None:
            words = _words(record, field)
            text, ranges = " ".join(words), tuple(_ranges(words))
        else:
            text, ranges = text_of(record, field), None
        spans, repaired, by_teacher = None, 0, None
        if gold:
            field = task.gold
            spans, repaired = _entities(record.row.get(field), text, ranges, task.scheme, labels)
        if teacher is not None:
            field = teacher
            by_teacher, _ = _entities(record.row.get(field), text, ranges, task.scheme, labels)
    except Unusable as unusable:
        return BadRow(record.number, field, str(unusable), record.row, record.unit, unusable.looks_like)
    return TaggedRow(text, ranges, spans, by_teacher, repaired)


def _entities(
    value: object, text: str, words: tuple[Range, ...] | None, scheme: Scheme, labels: frozenset[str] | None
) -> tuple[tuple[Span, ...] | None, int]:
    """Return the entities of a field, and how many of its tags break the scheme; ``None`` and 0 if it is null."""
    if value is None:
        return None, 0
    if words is None:
        return _of_spans(value, text, labels), 0
    return _of_tags(value, words, scheme, labels)


def _ranges(words: list[str]) -> Iterator[Range]:
    start = 0
    for word in words:
        yield start, start + len(word)
        start += len(word) + 1


def _words(record: Record, field: str) -> list[str]:
    words = _items(present(record, field), "words")
    if not words:
        raise Unusable("no words")
    for number, word in enumerate(words, 1):
        if not isinstance(word, str):
            raise Unusable(f"word {number}: expected text, got {excerpt(word)}")
        if not word.strip():
            raise Unusable(f"word {number} is {'white space only' if word else 'empty'}")
        check_characters(word)
    return words


def _items(value: object, what: str) -> list[Any]:
    if isinstance(value, str):
        return value.split()
    if isinstance(value, list):
        return value
    raise Unusable(f"expected a list of {what}, or a text with spaces between them, got {excerpt(value)}")


def _of_tags(
    value: object, words: tuple[Range, ...], scheme: Scheme, labels: frozenset[str] | None
) -> tuple[tuple[Span, ...], int]:
    tags = _items(value, "tags")
    if len(tags) != len(words):
        raise Unusable(f"{len(tags)} tags for {len(words)} words")
    try:
        read = [split_tag(tag, scheme) for tag in tags]
    except ValueError as error:
        raise Unusable(str(error)) from error
    in_words = spans_of(tags, scheme)
    for span in in_words:
        require_known(span.label, labels)
    right = [split_tag(tag, scheme) for tag in tags_of(in_words, len(words), scheme)]
    spans = tuple(Span(words[start][0], words[end - 1][1], label) for start, end, label in in_words)
    return spans, sum(one != other for one, other in zip(read, right, strict=True))


def _of_spans(value: object, text: str, labels: frozenset[str] | None) -> tuple[Span, ...]:
    if isinstance(value, str):  # tables have no lists
        try:
            value = json.loads(value)
        except ValueError as error:
            raise Unusable(f"expected a list of spans as JSON, got {excerpt(value)}") from error
    if not isinstance(value, list):
        raise Unusable(f"expected a list of spans such as {_SAMPLE}, got {excerpt(value)}")
    spans = sorted(_span(item, number, text, labels) for number, item in enumerate(value, 1))
    for before, after in pairwise(spans):
        if after.start < before.end:
            raise Unusable(
                f"spans {before.start}-{before.end} ({before.label}) and {after.start}-{after.end} ({after.label}) "
                "overlap, and a tagger gives each piece of text one tag: keep one of them"
            )
    return tuple(spans)


_SAMPLE = '{"start": 0, "end": 5, "label": "PER"}'


def _span(item: object, number: int, text: str, labels: frozenset[str] | None) -> Span:
    """Return a span without the white space at its ends, which no tokenizer keeps."""
    if not isinstance(item, dict) or not {"start", "end", "label"} <= item.keys():
        raise Unusable(f"span {number}: expected an object such as {_SAMPLE}, got {excerpt(item)}")
    start, end, label = item["start"], item["end"], item["label"]
    if not all(isinstance(place, int) and not isinstance(place, bool) for place in (start, end)):
        raise Unusable(f"span {number}: start and end must be whole numbers of characters, got {excerpt(item)}")
    if not isinstance(label, str) or not label.strip():
        raise Unusable(f"span {number}: expected text as its label, got {excerpt(label)}")
    if not 0 <= start < end <= len(text):
        raise Unusable(
            f"span {number} goes from {start} to {end}, but the text has {len(text)} characters; expected "
            "0 <= start < end, the end not included, in characters and not in bytes or UTF-16 units"
        )
    marked = text[start:end]
    if item.get("text") not in (None, marked):
        raise Unusable(
            f"span {number}: characters {start} to {end} are {excerpt(marked)}, not {excerpt(item['text'])}; offsets "
            "count characters (Unicode code points), not bytes or UTF-16 units, and the end is not included"
        )
    if not marked.strip():
        raise Unusable(f"span {number} ({start}-{end}) is white space only")
    require_known(label.strip(), labels)
    return Span(start + len(marked) - len(marked.lstrip()), start + len(marked.rstrip()), label.strip())
