"""Older result records (limbeck 0.1, one format for each kind of run) as records of today.

They are read as plain JSON: their types are gone, and what they said is said here once more. Fields that came late may
be missing. What a system is called follows today's names.
"""

from __future__ import annotations

from collections.abc import Callable

from limbeck.results.old.classification import classification
from limbeck.results.old.generation import generation
from limbeck.results.old.ranking import ranking
from limbeck.results.old.shared import Json

__all__ = ["OLD_FORMATS", "upgrade"]

_FAULTS = (KeyError, TypeError, AttributeError, ValueError, IndexError)


OLD_FORMATS: dict[str, Callable[[Json], Json]] = {
    "limbeck-results-1": classification,
    "limbeck-languages-1": ranking,
    "limbeck-generation-1": generation,
}
"""What reads each format of limbeck 0.1."""


def upgrade(record: Json) -> Json:
    """Return a record of any format as one of ``limbeck-results-2``, to be validated by `Results`.

    Raises:
        ValueError: an older record lacks what it needs; one of today's is returned as it is.
    """
    try:
        return OLD_FORMATS[record["format"]](record) if record["format"] in OLD_FORMATS else record
    except _FAULTS as error:
        words = f"{type(error).__name__}: {error}"
        raise ValueError(f"an older record that lacks a part, or has it in another shape ({words})") from error
