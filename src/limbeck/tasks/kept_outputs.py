"""A language model's sums over held-out rows, and its answers, kept in the run folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from limbeck.atomic import as_json
from limbeck.evaluation.generation.outputs import SystemOutputs
from limbeck.tasks.kept import kept
from limbeck.types import Progress

__all__ = ["kept_outputs"]


def kept_outputs(run: Path, name: str, make: Callable[[], SystemOutputs], progress: Progress) -> SystemOutputs:
    """Return outputs kept in a run folder; see `limbeck.tasks.kept.kept`."""
    return kept(run, name, make=lambda: _as_json(make()), read=_read, progress=progress)


def _as_json(outputs: SystemOutputs) -> bytes:
    listed = {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in vars(outputs).items()}
    return as_json(listed).encode()


def _read(path: Path) -> SystemOutputs:
    values = json.loads(path.read_text(encoding="utf-8"))
    arrays = {name: np.asarray(v) for name, v in values.items() if name != "texts" and v is not None}
    return SystemOutputs(**{**values, **arrays})
