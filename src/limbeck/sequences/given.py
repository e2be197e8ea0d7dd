"""Sources that exist before a stage starts: rows, pairs of records, texts of the teacher."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from limbeck.models.generate import Decoding

__all__ = ["GivenRows", "Paired", "Pairing", "TeacherWritten", "Which"]

Which = Literal["all", "labelled", "source", "target", "source+target"]
Pairing = Literal["parallel", "same", "mixed"]


@dataclass(frozen=True)
class GivenRows:
    """Training rows as they are.

    ``all``            every row, with or without a label
    ``labelled``       rows with a label (a completion, a gold answer), of any language
    ``source``         labelled records of the source language; their own steps
    ``target``         the few labelled target-language records; their own steps, none without such records
    ``source+target``  both together; as many steps as a distilled student of the run gets over its stages, minus those
                       of the model the system starts from
    """

    which: Which = "all"


@dataclass(frozen=True)
class Paired:
    """Unlabelled target-language records paired with what the teacher reads; their own steps."""

    pairing: Pairing = "parallel"
    """The teacher's input. ``parallel``: the source-language text, while the student reads its translation;
    ``same``: the student's input; ``mixed``: one or the other, drawn by a coin for each batch."""
    confidence_threshold: float = 0.0
    """Leave out a record if the teacher's highest probability is below this."""


@dataclass(frozen=True)
class TeacherWritten:
    """Completions that the teacher wrote once, before any student was trained (SeqKD)."""

    decoding: Decoding = field(default_factory=Decoding)
