"""What a cross-lingual recipe returns: where a system starts, what it reads, and its stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from limbeck.stages.stage import Stage

__all__ = ["Alignment", "Pairing"]

Pairing = Literal["parallel", "same", "mixed"]


@dataclass(frozen=True)
class Alignment:
    """A cross-lingual system.

    A stage's rows say which records it trains on, and with which part of the run's budget:

    ``english``         the labelled records of the source language; their own steps
    ``paired``          unlabelled target-language records beside what the teacher reads; their own steps
    ``target``          the few labelled target-language records; their own steps, none without such records
    ``english+target``  both labelled kinds together; all steps that a distilled student of the run gets over
                        its stages, less those of the model the system starts from
    """

    title: str
    stages: tuple[Stage, ...]
    starts_from: Literal["english_model", "backbone"]
    """The English instruction model (the teacher), or the pretrained backbone."""
    scorer: Literal["run", "verbaliser"] = "run"
    prompts: Literal["run", "hard", "task_name"] = "run"
    """The run's choice of prompts; both levels as hard text; or nothing but the task's name."""
    critic: bool = False
    pairing: Pairing = "parallel"
    gate: float = 0.0
    """A paired record is left out where the teacher's highest probability is below this."""
