"""Find the usual reasons for a bad run before the money is spent: the steps of `limbeck doctor`."""

from __future__ import annotations

from limbeck.runs.folder import refusal_of
from limbeck.tasks.finding import Finding
from limbeck.tasks.run_config import RunSettings
from limbeck.tasks.table import task_of
from limbeck.types import Progress

__all__ = ["examine"]


def examine(config: RunSettings, progress: Progress) -> list[Finding]:
    """Return the findings on a run: on the data, then the models, then the expected time.

    Nothing is trained or written. Faults that make later checks impossible end the
    examination.
    """
    return task_of(config).examine(config, progress, _in_folder)


def _in_folder(config: RunSettings, fingerprints: dict[str, str] | None = None) -> list[Finding]:
    refusal = refusal_of(config, fingerprints)
    return [] if refusal is None else [Finding("fault", "output", refusal)]
