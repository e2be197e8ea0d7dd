"""Upgrade older result records (limbeck 0.1, one format per kind of run) to the current format.

They are read as plain JSON, as their types no longer exist. Fields that were added late may be missing. Systems get
their current names.
"""

from __future__ import annotations

from collections.abc import Callable

from limbeck.results.old.classification import classification
from limbeck.results.old.generation import generation
from limbeck.results.old.ranking import ranking
from limbeck.results.old.shared import Json

__all__ = ["OLD_FORMATS", "upgrade"]

_ROWS = {"english": "source"}
"""Numbers of rows that had another name in earlier records of the current format."""
_FAULTS = (KeyError, TypeError, AttributeError, ValueError, IndexError)


OLD_FORMATS: dict[str, Callable[[Json], Json]] = {
    "limbeck-results-1": classification,
    "limbeck-languages-1": ranking,
    "limbeck-generation-1": generation,
}
"""The upgrade of each format of limbeck 0.1."""


def upgrade(record: Json) -> Json:
    """Return a record of any format as one of ``limbeck-results-2``, to be validated by `Results`.

    Raises:
        ValueError: an older record lacks a part.
    """
    try:
        return _renamed(OLD_FORMATS[record["format"]](record) if record["format"] in OLD_FORMATS else record)
    except _FAULTS as error:
        words = f"{type(error).__name__}: {error}"
        raise ValueError(f"an older record that lacks a part, or has it in another shape ({words})") from error


def _renamed(record: Json) -> Json:
    run = record.get("run")
    if not isinstance(run, dict) or not isinstance(rows := run.get("rows"), dict):
        return record  # whoever reads it says so
    return record | {"run": run | {"rows": {_ROWS.get(use, use): number for use, number in rows.items()}}}
