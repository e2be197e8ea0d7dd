"""The way back from a record to the row that it was made of."""

from __future__ import annotations

from typing import NamedTuple

from limbeck.types import Instruction


class Original(NamedTuple):
    """What a row said, read back from its record."""

    task: str
    input: str
    input_pair: str | None
    answer: str | None
    """The gold candidate's text; several are joined by newlines; ``None`` without a label."""


def original(record: Instruction) -> Original:
    """Return the row of `record`: the inverse of making it."""
    answers = [record.candidates[place] for place in record.gold]
    return Original(record.task, record.input, record.input_pair, "\n".join(answers) if answers else None)
