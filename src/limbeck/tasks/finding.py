"""What one check of a run found, before the money is spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from limbeck.errors import LimbeckError, ModelError
from limbeck.stages.stage import Training

__all__ = ["Finding", "InFolder", "more_steps", "unreadable"]


@dataclass(frozen=True)
class Finding:
    """A result of a check: ``fault`` stops a run, ``warning`` is probably a mistake, ``ok`` and ``note`` inform."""

    level: Literal["ok", "note", "warning", "fault"]
    check: str
    message: str


def unreadable(error: LimbeckError) -> Finding:
    """Return the fault of a run whose rows, or the models that name their labels, cannot be read."""
    return Finding("fault", "models" if isinstance(error, ModelError) else "data", str(error))


def more_steps(training: Training) -> str:
    """Return what to change for more optimiser steps: the setting that decides on their number."""
    if training.max_steps is not None:
        return "raise training.max_steps"
    return "raise training.num_train_epochs, or give training.max_steps"


InFolder = Callable[..., list[Finding]]
"""``in_folder(config, fingerprints=None)``: why a run cannot use its folder; the contents are compared if
fingerprints of its rows are given."""
