"""Reading users' rows: finding the files, checking every row, and refusing or setting aside unusable ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from limbeck.data.checks import CheckedRow, FieldsMet, check_record, refuse_misspelt_label
from limbeck.data.quarantine import (
    BAD_ROWS_SHOWN,
    FileCount,
    OnBadRow,
    keep_apart,
    refuse_bad_rows,
    refuse_look_alikes,
    write_quarantine,
)
from limbeck.data.readers import LoadDataset, read_records
from limbeck.data.records import BadRow, Fields, Record, printable
from limbeck.data.sources import DataFile, HubData, find_sources
from limbeck.types import Origin, Rows

__all__ = [
    "Checked",
    "Fields",
    "FileCount",
    "LoadedRows",
    "fields_found",
    "fingerprint_of",
    "lacking",
    "load_rows",
    "read_checked",
]


T = TypeVar("T")

_FIELDS_SHOWN = 20


@dataclass(frozen=True)
class Checked(Generic[T]):
    """Rows of any shape that passed their checks, and facts about the others."""

    rows: list[T]
    origin: list[Origin]
    """The origin of each row."""
    left_out: int
    """Rows that were set aside; more than 0 only with ``on_bad_row="quarantine"``."""
    files: tuple[FileCount, ...]
    """One entry per file or hub data set, in the order read."""
    columns: tuple[str, ...]
    """Fields that rows have; for tables, those that were read."""


@dataclass(frozen=True)
class LoadedRows:
    """Rows that passed every check, and facts about the others."""

    rows: Rows
    left_out: int
    """Rows that were set aside; more than 0 only with ``on_bad_row="quarantine"``."""
    fingerprint: str
    """SHA-256 of the accepted rows' texts and labels in their order, whatever files they came from."""
    files: tuple[FileCount, ...]
    """One entry per file or hub data set, in the order read."""
    columns: tuple[str, ...] = ()
    """Fields that rows have; for tables, those that were read."""


def load_rows(
    sources: str | Path | list[str | Path],
    fields: Fields,
    *,
    on_bad_row: OnBadRow = "refuse",
    labels: list[str] | None = None,
    quarantine: Path | None = None,
    base: Path | None = None,
    split: str = "train",
    _load_dataset: LoadDataset | None = None,
) -> LoadedRows:
    r"""Read and check the rows of one or more sources, joined in the order given.

    A source is a file (JSON Lines, a JSON array, CSV, TSV, any of these with ``.gz``, or Parquet), a
    folder of such files (by name; sub-folders and hidden files are not read), or a data set of the
    Hugging Face hub, written ``hub:NAME[:CONFIG][@REVISION]``, for example ``hub:nyu-mll/glue:sst2``.
    A hub data set's code is never run.

    Rows without a label are fine: the field may be missing or null, in CSV also empty. `check_record` describes
    how labels of other types become names.

    Args:
        sources: what to read.
        fields: the names of the text, the second text and the label in the rows.
        on_bad_row: ``"refuse"`` and ``"stop"`` list the first bad rows in an error, ``"stop"`` with the setting of run
            files that leaves them out; ``"quarantine"`` continues
            without them, unless they are more than half. Labels that differ from `labels` only in case, spaces,
            Unicode form or invisible characters are refused in either case.
        labels: the allowed label names; ``None``: any.
        quarantine: where to write the rows left out, as JSON Lines of ``file``, ``line``, ``field``,
            ``reason`` and ``row``. An older file there is replaced, or removed if no row is left out.
        base: the folder that relative sources start from; ``None``: the current one.
        split: the split to read from the hub; files have no splits.

    Raises:
        DataError: a source cannot be read, rows cannot be used, or there are none.
        ConfigError: the quarantine file is itself one of the sources.
        StorageError: the quarantine file cannot be written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "rows.csv").write_text("text,label\nIt works,good\nIt broke,\n")
        >>> load_rows("rows.csv", Fields(text="text", label="label"), base=folder).rows.label
        ['good', None]
    """
    known = None if labels is None else frozenset(labels)
    checked = read_checked(
        sources,
        fields,
        lambda record: check_record(record, fields, known),
        on_bad_row=on_bad_row,
        quarantine=quarantine,
        base=base,
        split=split,
        _load_dataset=_load_dataset,
    )
    # Fields added later do not change older digests.
    read = 6 if fields.teacher_rationale is not None else 5 if fields.teacher_label is not None else 3
    fingerprint = fingerprint_of(row[:read] for row in checked.rows)
    return LoadedRows(_as_rows(checked, fields), checked.left_out, fingerprint, checked.files, checked.columns)


def _as_rows(checked: Checked[CheckedRow], fields: Fields) -> Rows:
    """Return rows column by column; columns that were not requested are ``None``."""
    return Rows(
        text=[row.text for row in checked.rows],
        text_pair=None if fields.text_pair is None else [str(row.text_pair) for row in checked.rows],
        label=[row.label for row in checked.rows],
        origin=checked.origin,
        teacher_label=None if fields.teacher_label is None else [row.teacher_label for row in checked.rows],
        teacher_confidence=(
            None if fields.teacher_confidence is None else [row.teacher_confidence for row in checked.rows]
        ),
        teacher_rationale=None
        if fields.teacher_rationale is None
        else [row.teacher_rationale for row in checked.rows],
    )


def read_checked(
    sources: str | Path | list[str | Path],
    fields: Fields,
    check: Callable[[Record], T | BadRow],
    *,
    on_bad_row: OnBadRow = "refuse",
    quarantine: Path | None = None,
    base: Path | None = None,
    split: str = "train",
    _load_dataset: LoadDataset | None = None,
) -> Checked[T]:
    """Read the rows of one or more sources, as `load_rows` does, with the caller's own check.

    Args:
        sources: what to read.
        fields: the names of the fields; rows must have the texts.
        check: returns a usable row, or a `BadRow`.
        on_bad_row: as in `load_rows`.
        quarantine: where to write the rows left out.
        base: the folder that relative sources start from; ``None``: the current one.
        split: the split to read from the hub.

    Raises:
        DataError: a source cannot be read, rows cannot be used, or there are none.
        ConfigError: the quarantine file is itself one of the sources.
        StorageError: the quarantine file cannot be written.
    """
    found = find_sources(sources, base=base, split=split)
    if quarantine is not None:
        keep_apart(quarantine, found)
    rows: list[T] = []
    origin: list[Origin] = []
    columns: dict[str, None] = {}
    counts: list[FileCount] = []
    bad_rows: list[tuple[str, BadRow]] = []
    for source in found:
        name, good, bad = source.name, 0, 0
        for checked, number in _checked_rows(source, fields, check, _load_dataset, columns):
            if isinstance(checked, BadRow):
                bad += 1
                if checked.looks_like is not None:
                    checked = checked._replace(row=None)  # counted below, and never set aside
                if on_bad_row == "quarantine" or len(bad_rows) < BAD_ROWS_SHOWN or checked.looks_like is not None:
                    bad_rows.append((name, checked))
            else:
                good += 1
                rows.append(checked)
                origin.append(Origin(name, number))
        counts.append(FileCount(name, good, bad))
    left_out = sum(count.left_out for count in counts)
    refuse_look_alikes(bad_rows)
    refuse_bad_rows(len(rows), left_out, bad_rows, counts, on_bad_row)
    if quarantine is not None:
        write_quarantine(quarantine, bad_rows)
    return Checked(rows, origin, left_out, tuple(counts), tuple(columns))


def fields_found(columns: Sequence[str]) -> str:
    """Return the words for the fields that rows have."""
    more = ", ..." if len(columns) > _FIELDS_SHOWN else ""
    return f"fields of the rows: {', '.join(map(printable, columns[:_FIELDS_SHOWN]))}{more}"


def lacking(wanted: Iterable[str], columns: Sequence[str]) -> str:
    """Return a sentence about the first wanted field that no row has, and the fields that there are.

    Args:
        wanted: names of fields.
        columns: the fields of the training rows.

    Returns:
        The sentence after a space; empty if rows have all wanted fields, or none at all.
    """
    absent = [field for field in wanted if field not in columns]
    if not absent or not columns:
        return ""
    return f" No training row has the field '{absent[0]}'; {fields_found(columns)}"


def fingerprint_of(rows: Iterable[object]) -> str:
    """Return the SHA-256 of rows in order, each as JSON."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, ensure_ascii=False).encode())
    return digest.hexdigest()


def _checked_rows(
    source: DataFile | HubData,
    fields: Fields,
    check: Callable[[Record], T | BadRow],
    load_dataset: LoadDataset | None,
    columns: dict[str, None],
) -> Iterator[tuple[T | BadRow, int]]:
    """Yield each row or bad row with its number, and add the fields of rows to `columns`.

    Raises:
        DataError: no row has the text, or a field that seems to be the label under another name.
    """
    met = FieldsMet(source.name, (*fields.required, *fields.beside_the_text))
    for record in read_records(source, fields, load_dataset):
        if isinstance(record, BadRow):
            yield record, record.number
            continue
        met.add(record.row)
        yield check(record), record.number
    met.require(*fields.required)
    refuse_misspelt_label(source.name, met.names, fields)
    columns |= met.names
