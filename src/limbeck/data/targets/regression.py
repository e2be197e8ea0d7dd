"""Rows with one real number each, or several."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, field_validator

from limbeck.data.checks import Unusable, type_name
from limbeck.data.records import Record, excerpt
from limbeck.data.targets.rows import TargetRows, load_targets
from limbeck.errors import DataError

__all__ = ["Regression", "Scale", "load_values", "scale_of", "value_matrix"]

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Regression(BaseModel):
    """One number, or several, for a text or a pair of texts. The names say where these are in the user's rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["regression"] = "regression"
    text: str = "text"
    """Field with the text (or the first of a pair)."""
    text_pair: str | None = None
    """Field with the second text."""
    value: str | list[str] = "value"
    """Field with the number, or the fields of several numbers. A row without any is unlabelled; one that has some
    and lacks others is refused."""

    @field_validator("value")
    @classmethod
    def _different_fields(cls, value: str | list[str]) -> str | list[str]:
        if isinstance(value, list) and not 0 < len(set(value)) == len(value):
            raise ValueError("expected the name of a field, or a list of different ones")
        return value

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the numbers, which are those of their fields."""
        return (self.value,) if isinstance(self.value, str) else tuple(self.value)


class Scale(NamedTuple):
    """The standardisation of the user's numbers to mean 0 and standard deviation 1, used in training."""

    mean: NDArray[np.float64]
    """``[C]``"""
    deviation: NDArray[np.float64]
    """``[C]``, above 0"""

    def standardised(self, values_NC: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return standardised values."""
        return (values_NC - self.mean) / self.deviation

    def in_units(self, values_NC: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values in the user's units."""
        return values_NC * self.deviation + self.mean


def load_values(
    sources: str | Path | list[str | Path], task: Regression, *, teacher: tuple[str, ...] = (), **options: Any
) -> TargetRows[float]:
    r"""Read and check rows with numbers.

    Args:
        sources: files, folders, or ``hub:NAME[:CONFIG][@REVISION]``.
        task: the names of the fields.
        teacher: the fields of a teacher's numbers, in the order of the task's.
        **options: as in `limbeck.data.targets.rows.load_targets`.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "rows.csv").write_text("text,value\nfine,4.5\nso so,\n")
        >>> load_values("rows.csv", Regression(), base=folder).targets
        [(4.5,), None]
    """
    return load_targets(sources, (task.text, task.text_pair), task.names, _values, teacher=teacher, **options)


def value_matrix(targets: list[tuple[float, ...] | None], names: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the numbers of all rows, ``[N, C]``, NaN if a row has none."""
    return np.array([[math.nan] * len(names) if target is None else target for target in targets], dtype=np.float64)


def scale_of(values_NC: NDArray[np.float64], names: tuple[str, ...]) -> Scale:
    """Return mean and standard deviation of each number over the rows that have it.

    Raises:
        DataError: fewer than two rows have numbers, or a number is the same in all of them.
    """
    known = values_NC[~np.isnan(values_NC).any(axis=1)]
    if len(known) < 2:
        raise DataError(
            f"{len(known)} of {len(values_NC)} training rows have a number in {', '.join(names)}: expected two or "
            "more. Check task.value, or add rows"
        )
    for name, column in zip(names, known.T, strict=True):
        if np.ptp(column) == 0:
            raise DataError(
                f"'{name}' is {column[0]:g} in all {len(known)} training rows that have it: there is nothing to "
                "learn, and no correlation is defined. Check the field, or leave it out"
            )
    return Scale(known.mean(axis=0), known.std(axis=0))


def _values(record: Record, fields: tuple[str, ...]) -> tuple[float, ...] | None:
    values = [_value(record.row.get(field), field if len(fields) > 1 else None) for field in fields]
    known = [value for value in values if value is not None]
    if not known:
        return None
    if len(known) < len(values):
        lacking = ", ".join(field for field, value in zip(fields, values, strict=True) if value is None)
        raise Unusable(f"{lacking} missing: a row must have all its numbers, or none")
    return tuple(known)


def _value(value: object, field: str | None) -> float | None:
    """Return a number; text that spells one is accepted, since CSV has only text."""
    where = "" if field is None else f"{field}: "
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = _as_float(value)
    elif isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        number = float(value)
    if math.isfinite(number):
        return number
    comma = isinstance(value, str) and _NUMBER.fullmatch(value.strip().replace(",", "."))
    advice = "; write a point before the decimals" if comma else ""
    raise Unusable(f"{where}expected a number, got {_what(value)}{excerpt(value)}{advice}")


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf


def _what(value: object) -> str:
    """Return a value's type for messages; nothing for numbers such as NaN, which need none."""
    return "" if isinstance(value, int | float) and not isinstance(value, bool) else f"{type_name(value)}: "
