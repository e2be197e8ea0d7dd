"""What a stage trains on: one of these sources, each with its own options."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.sequences.class_pairs import ClassPairs
from limbeck.sequences.curriculum import Curriculum
from limbeck.sequences.given import GivenRows, Paired, TeacherWritten
from limbeck.sequences.on_policy import OnPolicy
from limbeck.sequences.replay import Replay
from limbeck.sequences.rollouts import Rollouts

__all__ = ["Sampled", "Source", "WithCorpus", "parts_of"]

Sampled = OnPolicy | Replay | Rollouts
"""Texts that the student generates during the stage."""


@dataclass(frozen=True)
class WithCorpus:
    """Another source, plus equally many rows of the plain-text corpus (`data.corpus`) in each step."""

    source: GivenRows | TeacherWritten | Sampled


Source = GivenRows | ClassPairs | Paired | Curriculum | TeacherWritten | Sampled | WithCorpus


def parts_of(source: Source) -> tuple[Source, ...]:
    """Return a source and the sources inside it, outermost first."""
    if isinstance(source, WithCorpus):
        return (source, *parts_of(source.source))
    return (source, source.otherwise) if isinstance(source, OnPolicy) else (source,)
