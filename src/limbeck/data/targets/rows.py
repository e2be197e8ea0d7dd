"""Rows of texts with targets, and reading them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from limbeck.data.checks import Unusable, text_of
from limbeck.data.load import fingerprint_of, read_checked
from limbeck.data.quarantine import FileCount, OnBadRow
from limbeck.data.readers import LoadDataset
from limbeck.data.records import BadRow, Fields, Record
from limbeck.types import Rows

__all__ = ["TargetRows", "load_targets"]

T = TypeVar("T")


@dataclass(frozen=True)
class TargetRows(Generic[T]):
    """Rows that passed every check."""

    rows: Rows
    """Texts and their origins, without labels."""
    targets: list[tuple[T, ...] | None]
    """Targets of each row; ``None``: unlabelled."""
    teacher_targets: list[tuple[T, ...] | None] | None
    """A teacher's targets; ``None``: not requested."""
    left_out: int
    fingerprint: str
    files: tuple[FileCount, ...]
    columns: tuple[str, ...] = ()
    """Fields that rows have; for tables, those that were read."""

    @property
    def texts(self) -> list[tuple[str, ...]]:
        """The text, or both texts, of each row."""
        rows = self.rows
        return [*zip(rows.text, rows.text_pair, strict=True)] if rows.text_pair else [(text,) for text in rows.text]

    @property
    def labelled_N(self) -> NDArray[np.bool_]:
        """Which rows have targets."""
        return np.array([target is not None for target in self.targets], dtype=np.bool_)

    @property
    def taught_N(self) -> NDArray[np.bool_]:
        """Which rows have a teacher's targets."""
        given = self.teacher_targets or [None] * len(self.targets)
        return np.array([target is not None for target in given], dtype=np.bool_)

    def take(self, indices: list[int]) -> TargetRows[T]:
        """Return the rows at `indices`, in that order."""
        by_teacher = self.teacher_targets
        return replace(
            self,
            rows=self.rows.take(indices),
            targets=[self.targets[i] for i in indices],
            teacher_targets=None if by_teacher is None else [by_teacher[i] for i in indices],
            left_out=0,
        )


class _Row(NamedTuple, Generic[T]):
    text: str
    text_pair: str | None
    target: tuple[T, ...] | None
    teacher_target: tuple[T, ...] | None


def load_targets(
    sources: str | Path | list[str | Path],
    text: tuple[str, str | None],
    gold: tuple[str, ...],
    read: Callable[[Record, tuple[str, ...]], tuple[T, ...] | None],
    *,
    teacher: tuple[str, ...] = (),
    on_bad_row: OnBadRow = "refuse",
    quarantine: Path | None = None,
    base: Path | None = None,
    split: str = "train",
    _load_dataset: LoadDataset | None = None,
) -> TargetRows[T]:
    """Read and check rows; sources, quarantine and errors are those of `limbeck.data.load.load_rows`.

    Args:
        sources: files, folders, or ``hub:NAME[:CONFIG][@REVISION]``.
        text: the fields of the text and of the second text.
        gold: the fields of the targets, which rows may lack.
        read: returns the targets in some fields; ``None``: the row has none. Raises `Unusable`.
        teacher: the fields of a teacher's targets.
        on_bad_row: ``"refuse"``, ``"stop"`` or ``"quarantine"``.
        quarantine: where to write the rows left out.
        base: the folder that relative sources start from; ``None``: the current one.
        split: the split to read from the hub.
    """
    fields = Fields(
        *text, label=gold[0], teacher_label=teacher[0] if teacher else None, more=(*gold[1:], *teacher[1:])
    )

    found = read_checked(
        sources,
        fields,
        lambda record: _checked(record, fields, gold, teacher, read),
        on_bad_row=on_bad_row,
        quarantine=quarantine,
        base=base,
        split=split,
        _load_dataset=_load_dataset,
    )
    return TargetRows(
        rows=Rows(
            text=[row.text for row in found.rows],
            text_pair=None if fields.text_pair is None else [str(row.text_pair) for row in found.rows],
            label=[None] * len(found.rows),
            origin=found.origin,
        ),
        targets=[row.target for row in found.rows],
        teacher_targets=[row.teacher_target for row in found.rows] if teacher else None,
        left_out=found.left_out,
        fingerprint=fingerprint_of(found.rows),
        files=found.files,
        columns=found.columns,
    )


def _checked(
    record: Record,
    fields: Fields,
    gold: tuple[str, ...],
    teacher: tuple[str, ...],
    read: Callable[[Record, tuple[str, ...]], tuple[T, ...] | None],
) -> _Row[T] | BadRow:
    """Check one row; the first field at fault is named."""
    field = fields.text
    try:
        first = text_of(record, field)
        field = fields.text_pair or field
        second = None if fields.text_pair is None else text_of(record, field)
        field = gold[0]
        target = read(record, gold)
        field = teacher[0] if teacher else field
        return _Row(first, second, target, read(record, teacher) if teacher else None)
    except Unusable as unusable:
        return BadRow(record.number, field, str(unusable), record.row, record.unit, unusable.looks_like)
