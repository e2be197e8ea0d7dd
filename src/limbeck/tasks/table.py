"""The kinds of task by name: the one table between ``task.kind`` in a run file and a kind's code."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

from limbeck.tasks.run_config import RunSettings
from limbeck.tasks.task import Task

__all__ = ["DEFAULT_KIND", "KINDS", "config_of_kind", "task_of", "task_of_kind"]

DEFAULT_KIND = "classification"


class Kind(NamedTuple):
    """Where a kind's code is. Its run file is checked without loading what carries it out."""

    config: str
    task: str


KINDS = {
    "classification": Kind("limbeck.tasks.classification.config:RunConfig", "limbeck.tasks.classification.task:TASK"),
    "token_classification": Kind(
        "limbeck.tasks.token_classification.config:TaggerRunConfig", "limbeck.tasks.token_classification.task:TASK"
    ),
    "regression": Kind("limbeck.tasks.regression.config:RegressorRunConfig", "limbeck.tasks.regression.task:TASK"),
    "multi_label": Kind("limbeck.tasks.multi_label.config:LabelSetRunConfig", "limbeck.tasks.multi_label.task:TASK"),
    "generation": Kind("limbeck.tasks.generation.config:TextRunConfig", "limbeck.tasks.generation.task:TASK"),
    "ranking": Kind("limbeck.tasks.ranking.config:LanguageRunConfig", "limbeck.tasks.ranking.task:TASK"),
}


def config_of_kind(kind: str) -> type[RunSettings]:
    """Return the class of a kind's run files."""
    found: type[RunSettings] = _load(KINDS[kind].config)
    return found


def task_of(config: RunSettings) -> Task:
    """Return the code of a run's kind. Heavy libraries are loaded with it."""
    return task_of_kind(config.task.kind)


def task_of_kind(kind: str) -> Task:
    """Return the code of a kind."""
    found: Task = _load(KINDS[kind].task)
    return found


def _load(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
