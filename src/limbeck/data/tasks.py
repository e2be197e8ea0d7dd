"""The task of classification."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from limbeck.errors import DataError, near_misses
from limbeck.types import UNLABELLED, Rows

__all__ = ["Classification", "OneLine", "label_ids", "labels_in"]

_LONGEST_LINE = 300


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    if not 0 < len(line) <= _LONGEST_LINE:
        raise ValueError(f"expected a line of 1 to {_LONGEST_LINE} characters that says what the label means")
    return line


OneLine = Annotated[str, AfterValidator(_one_line)]
"""A label's meaning, in one line."""


class Classification(BaseModel):
    """One label for a text or a pair of texts. The names say where these are in the user's rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["classification"] = "classification"
    text: str = "text"
    """Field with the text (or the first of a pair)."""
    text_pair: str | None = None
    """Field with the second text."""
    label: str | None = "label"
    """Field with the label; rows without it are unlabelled."""
    labels: list[str] | None = Field(default=None, min_length=2)
    """All label names in order; default: the teacher's, or those found in the training rows, sorted. A mapping gives
    each name a line that says what it means, for prompts (``descriptions``)."""
    descriptions: dict[str, OneLine] = {}
    """Meanings of labels, by name, shown in prompts."""

    @model_validator(mode="before")
    @classmethod
    def _labels_with_descriptions(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("labels"), dict):
            return values
        if values.get("descriptions"):
            raise ValueError("labels already maps each label to its meaning, so remove descriptions")
        said = {name: line for name, line in values["labels"].items() if line is not None}
        return {**values, "labels": list(values["labels"]), "descriptions": said}

    @model_validator(mode="after")
    def _descriptions_of_labels(self) -> Classification:
        for name in self.descriptions:
            if self.labels is None or name not in self.labels:
                raise ValueError(
                    f"descriptions: '{name}' is not one of the labels; {near_misses(name, self.labels or [])}"
                )
        return self


def labels_in(rows: Rows) -> list[str]:
    """Return the label names in `rows`, a teacher's included, numbers in numeric and words in alphabetical order.

    Raises:
        DataError: no labels, or only one.
    """
    names = {label for label in [*rows.label, *(rows.teacher_label or [])] if label is not None}
    if len(names) < 2:
        found = f"only one label, '{names.pop()}'," if names else "no label"
        raise DataError(
            f"found {found} in {len(rows)} training rows; a classifier needs at least two classes. "
            "Check task.label, add labelled rows, or give task.labels or a fine-tuned teacher"
        )
    number = re.compile("-?[0-9]{1,99}")  # Python converts no number of thousands of digits
    return sorted(names, key=lambda name: (0, int(name), name) if number.fullmatch(name) else (1, 0, name))


def label_ids(rows: Rows, labels: list[str]) -> NDArray[np.int64]:
    """Return the index of each row's label in `labels`, `UNLABELLED` for rows without one.

    Raises:
        DataError: a label that is not in `labels`, with its file and line.
    """
    index = {label: i for i, label in enumerate(labels)}
    ids = np.full(len(rows), UNLABELLED, dtype=np.int64)
    for i, label in enumerate(rows.label):
        if label is None:
            continue
        if label not in index:
            raise DataError(f"{rows.origin[i]}: label '{label}' is not one of the task's {len(labels)} labels")
        ids[i] = index[label]
    return ids
