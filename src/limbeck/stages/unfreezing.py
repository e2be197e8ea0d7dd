"""Which parts of a student a stage trains; the others are frozen while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from limbeck.errors import ConfigError
from limbeck.models.parts import parts_of, require_parts

__all__ = ["Trained", "Unfrozen", "require_trainable", "training_only"]


@dataclass(frozen=True)
class Unfrozen:
    """The head, and the topmost `parts` of `of` parts below it (`limbeck.models.parts`)."""

    parts: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.parts <= self.of:
            raise ConfigError(f"a stage trains 1 to {self.of} of {self.of} parts below the head, not {self.parts}")


Trained = Literal["all", "head", "terms"] | Unfrozen
"""Everything, the head alone, nothing but the terms' own parameters, or the head and what is unfrozen below it."""


def require_trainable(student: Any, wanted: Iterable[Trained]) -> None:
    """Check that a student can be divided into the parts that stages train.

    Args:
        student: it may have no storage.
        wanted: what each stage trains.

    Raises:
        ConfigError, ModelError: as `require_parts`.
    """
    for trained in set(wanted):
        if isinstance(trained, Unfrozen):
            require_parts(student, trained.of)
        elif trained == "head":
            require_parts(student, 1)


@contextmanager
def training_only(student: Any, trained: Trained) -> Iterator[None]:
    """Freeze, in the block, what is not `trained`. What was frozen before stays frozen, in the block and after it.

    Raises:
        ConfigError, ModelError: as `parts_of`.
    """
    frozen = [parameter for parameter in _others(student, trained) if parameter.requires_grad]
    try:
        for parameter in frozen:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


def _others(student: Any, trained: Trained) -> list[nn.Parameter]:
    if trained == "all":
        return []
    if trained == "terms":
        return list(student.parameters())
    if trained == "head":
        below, first = parts_of(student).below, 0
    else:
        below, first = parts_of(student, trained.of).below, trained.parts
    return [parameter for part in below[first:] for parameter in part]
