"""Sources of a stage that are there before it starts: rows, pairs of records, what the teacher wrote."""

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
    ``labelled``       rows with a label (a completion, a gold answer), of whichever language
    ``source``         labelled records of the source language; their own steps
    ``target``         the few labelled target-language records; their own steps, none without such records
    ``source+target``  both together; all steps that a distilled student of the run gets over its stages, less those
                       of the model the system starts from
    """

    which: Which = "all"


@dataclass(frozen=True)
class Paired:
    """Unlabelled target-language records beside what the teacher reads; their own steps."""

    pairing: Pairing = "parallel"
    """What the teacher reads: ``parallel``: the source-language text, while the student reads its translation;
    ``same``: what the student reads; ``mixed``: each batch one or the other by a coin."""
    confidence_threshold: float = 0.0
    """A record is left out where the teacher's highest probability is below this."""


@dataclass(frozen=True)
class TeacherWritten:
    """Completions that the teacher wrote once, before any student was trained (SeqKD)."""

    decoding: Decoding = field(default_factory=Decoding)
