"""Rows with any number of labels each, including none."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from limbeck.data.checks import Unusable, label_name, require_known, type_name
from limbeck.data.records import Record, excerpt
from limbeck.data.targets.rows import TargetRows, load_targets
from limbeck.errors import DataError

__all__ = ["MultiLabel", "label_matrix", "labels_in", "load_label_sets"]

_TRUTH = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


class MultiLabel(BaseModel):
    """Labels that do not exclude each other, for a text or a pair of texts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["multi_label"] = "multi_label"
    text: str = "text"
    """Field with the text (or the first of a pair)."""
    text_pair: str | None = None
    """Field with the second text."""
    label: str | list[str] = "labels"
    """Field with the labels of a row: a list of names, or a text of names with `separator` between them; or the fields
    of all labels, 1 (true) where a row has it and 0 (false) where not. A row without the field, or with null or an
    empty cell in it, is unlabelled, which is not the same as having no label: that is an empty list, `none`, or 0s."""
    separator: str = Field(default=";", min_length=1)
    """Separator of names in a text."""
    none: str = "none"
    """The text for a row without any of the labels."""
    labels: list[str] | None = Field(default=None, min_length=1)
    """All label names in order; default: the teacher's, or those found in the training rows, sorted."""

    @model_validator(mode="after")
    def _names_once(self) -> MultiLabel:
        for what, names in (("label", self.label), ("labels", self.labels)):
            if isinstance(names, list) and not 0 < len(set(names)) == len(names):
                raise ValueError(f"{what}: expected different names, at least one")
        if isinstance(self.label, list) and self.labels is not None and self.labels != self.label:
            raise ValueError("labels: remove it, since the fields in label name them")
        if self.labels is not None and self.none in self.labels:
            raise ValueError(f"none: '{self.none}' is one of the labels; give the word for rows without a label")
        return self

    @property
    def fields(self) -> tuple[str, ...]:
        """The field of the labels, or one for each."""
        return (self.label,) if isinstance(self.label, str) else tuple(self.label)

    @property
    def names(self) -> list[str] | None:
        """The labels, if the run file gives them."""
        return self.labels or (self.label if isinstance(self.label, list) else None)


def load_label_sets(
    sources: str | Path | list[str | Path],
    task: MultiLabel,
    *,
    labels: list[str] | None = None,
    teacher: tuple[str, ...] = (),
    **options: Any,
) -> TargetRows[str]:
    r"""Read and check rows with any number of labels; each row's labels are in alphabetical order.

    Args:
        sources: files, folders, or ``hub:NAME[:CONFIG][@REVISION]``.
        task: the names of the fields.
        labels: the allowed labels; ``None``: those of the task, or any.
        teacher: the field of a teacher's labels, or one for each label, in the form of the task's.
        **options: as in `limbeck.data.targets.rows.load_targets`.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "rows.csv").write_text("text,labels\nslow and dear,price;speed\nfine,none\nhm,\n")
        >>> load_label_sets("rows.csv", MultiLabel(), base=folder).targets
        [('price', 'speed'), (), None]
    """
    given = labels or task.names
    known = None if given is None else frozenset(given)

    def read(record: Record, fields: tuple[str, ...]) -> tuple[str, ...] | None:
        if isinstance(task.label, list):
            return _of_columns(record, fields, task.label)
        return _of_names(record.row.get(fields[0]), task, known)

    return load_targets(sources, (task.text, task.text_pair), task.fields, read, teacher=teacher, **options)


def labels_in(rows: TargetRows[str]) -> list[str]:
    """Return the labels in `rows`, a teacher's included, sorted.

    Raises:
        DataError: there is none.
    """
    found = {name for names in [*rows.targets, *(rows.teacher_targets or [])] for name in names or ()}
    if not found:
        raise DataError(
            f"found no label in {len(rows.targets)} training rows. Check task.label and task.separator, add labelled "
            "rows, or give task.labels or a fine-tuned teacher"
        )
    return sorted(found)


def label_matrix(targets: list[tuple[str, ...] | None], labels: list[str]) -> NDArray[np.float64]:
    """Return 1 if a row has a label and 0 if not, ``[N, C]``; NaN in unlabelled rows."""
    index = {label: i for i, label in enumerate(labels)}
    matrix = np.zeros((len(targets), len(labels)))
    for row, names in enumerate(targets):
        if names is None:
            matrix[row] = math.nan
        else:
            matrix[row, [index[name] for name in names]] = 1
    return matrix


def _of_names(value: object, task: MultiLabel, known: frozenset[str] | None) -> tuple[str, ...] | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        value = [name for part in value.split(task.separator) if (name := part.strip())]
        if value == [task.none]:
            return ()
        if task.none in value:
            raise Unusable(f"'{task.none}' (none of the labels) stands next to labels: {excerpt(value)}")
    if not isinstance(value, list):
        raise Unusable(
            f"expected a list of labels, or a text with '{task.separator}' between them, got {type_name(value)}: "
            f"{excerpt(value)}"
        )
    names = sorted({label_name(name) for name in value})
    for name in names:
        require_known(name, known)
    return tuple(names)


def _of_columns(record: Record, fields: tuple[str, ...], labels: list[str]) -> tuple[str, ...] | None:
    cells = [record.row.get(field) for field in fields]
    empty = [cell is None or (isinstance(cell, str) and not cell.strip()) for cell in cells]
    if all(empty):
        return None
    if any(empty):
        lacking = ", ".join(field for field, gone in zip(fields, empty, strict=True) if gone)
        raise Unusable(f"{lacking} empty or missing: a row must have 0 or 1 for every label, or nothing at all")
    return tuple(
        sorted(label for label, field, cell in zip(labels, fields, cells, strict=True) if _truth(cell, field))
    )


def _truth(cell: object, field: str) -> bool:
    truth = _TRUTH.get(str(cell).strip().lower()) if isinstance(cell, str | int | float) else None
    if truth is None:
        raise Unusable(f"{field}: expected 0 or 1 (false or true), got {type_name(cell)}: {excerpt(cell)}")
    return truth
