"""The kinds of task by name: the one table between ``task.kind`` in a run file and a kind's code."""

from __future__ import annotations

import importlib

from limbeck.tasks.task import Task

__all__ = ["DEFAULT_KIND", "KINDS", "task_of_kind"]

DEFAULT_KIND = "classification"

KINDS = {
    "classification": "limbeck.runs.classifier_run:TASK",
    "generation": "limbeck.runs.text_run:TASK",
    "instructions": "limbeck.runs.ranking_run:TASK",
}


def task_of_kind(kind: str) -> Task:
    """Return the code of a kind. Heavy libraries are loaded with it."""
    module, _, name = KINDS[kind].partition(":")
    task: Task = getattr(importlib.import_module(module), name)
    return task
