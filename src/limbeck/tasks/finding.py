"""What one check of a run found, before the money is spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from limbeck.errors import LimbeckError, ModelError

__all__ = ["Finding", "InFolder", "unreadable"]


@dataclass(frozen=True)
class Finding:
    """What one check found: ``fault`` stops a run, ``warning`` is probably a mistake, ``ok`` and ``note`` inform."""

    level: Literal["ok", "note", "warning", "fault"]
    check: str
    message: str


def unreadable(error: LimbeckError) -> Finding:
    """Return the fault of a run whose rows, or the models that name their labels, cannot be read."""
    return Finding("fault", "models" if isinstance(error, ModelError) else "data", str(error))


InFolder = Callable[..., list[Finding]]
"""``in_folder(config, fingerprints=None)``: why a run cannot be in its folder; what that holds is looked at if
fingerprints of its rows are given."""
