"""Which parts of a student a stage trains; the others are frozen while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from limbeck.errors import ConfigError
from limbeck.models.layers import layer_list
from limbeck.models.parts import parts_of, require_parts

__all__ = ["OneLayer", "Trained", "Unfrozen", "require_trainable", "training_only"]


@dataclass(frozen=True)
class Unfrozen:
    """The head, and the topmost `parts` of `of` parts below it (`limbeck.models.parts`)."""

    parts: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.parts <= self.of:
            raise ConfigError(f"a stage trains 1 to {self.of} of {self.of} parts below the head, not {self.parts}")


@dataclass(frozen=True)
class OneLayer:
    """One layer alone."""

    layer: int
    """Counted from 1."""


Trained = Literal["all", "head", "terms"] | Unfrozen | OneLayer
"""Everything, the head alone, nothing but the terms' own parameters, the head and what is unfrozen below it, or a
layer."""


def require_trainable(student: Any, wanted: Iterable[Trained]) -> None:
    """Check that a student can be divided into the parts that stages train.

    Args:
        student: it may have no storage.
        wanted: what each stage trains.

    Raises:
        ConfigError, ModelError: as `require_parts`; or there is no such layer.
    """
    for trained in dict.fromkeys(wanted):
        if isinstance(trained, Unfrozen):
            require_parts(student, trained.of)
        elif isinstance(trained, OneLayer):
            _layer(student, trained)
        elif trained == "head":
            require_parts(student, 1)


@contextmanager
def training_only(student: Any, trained: Trained) -> Iterator[None]:
    """Freeze, in the block, what is not `trained`. What was frozen before stays frozen, in the block and after it.

    Raises:
        ConfigError, ModelError: as `parts_of`; or there is no such layer.
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
    if isinstance(trained, OneLayer):
        own = {id(parameter) for parameter in _layer(student, trained).parameters()}
        return [parameter for parameter in student.parameters() if id(parameter) not in own]
    if trained == "head":
        below, first = parts_of(student).below, 0
    else:
        below, first = parts_of(student, trained.of).below, trained.parts
    return [parameter for part in below[first:] for parameter in part]


def _layer(student: Any, trained: OneLayer) -> nn.Module:
    layers = layer_list(student)[1]
    if not 1 <= trained.layer <= len(layers):
        raise ConfigError(
            f"a stage of the recipe trains layer {trained.layer} alone, and the student has {len(layers)}: give the "
            "recipe the student's number of layers (recipe.layers), or use another student"
        )
    return layers[trained.layer - 1]
