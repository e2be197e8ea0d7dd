"""The run files and code of a kind of task, under the same names in each folder."""

from __future__ import annotations

import importlib
from typing import Any

from limbeck.recipes.kinds import KINDS
from limbeck.tasks.run_config import RunSettings
from limbeck.tasks.task import Task

__all__ = ["config_of_kind", "task_of", "task_of_kind"]


def config_of_kind(kind: str) -> type[RunSettings]:
    """Return the class of a kind's run files, without loading the code that runs them."""
    found: type[RunSettings] = _in_folder(kind, "config").CONFIG
    return found


def task_of(config: RunSettings) -> Task:
    """Return the code of a run's kind. Heavy libraries are loaded with it."""
    return task_of_kind(config.task.kind)


def task_of_kind(kind: str) -> Task:
    """Return the code of a kind."""
    found: Task = _in_folder(kind, "task").TASK
    return found


def _in_folder(kind: str, module: str) -> Any:
    return importlib.import_module(f"limbeck.tasks.{KINDS[kind].name}.{module}")
