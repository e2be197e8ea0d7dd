"""A saved student of any kind, found by its folder."""

from __future__ import annotations

from limbeck.tasks.table import task_of_kind
from limbeck.tasks.task import Student
from limbeck.tasks.task_file import student_kind

__all__ = ["load"]


def load(model: str) -> Student:
    """Return the student of a folder; weights are loaded on first use.

    Args:
        model: a folder that `limbeck distill` wrote, or any fine-tuned classifier's folder or hub name.

    Raises:
        ModelError: there is no such model, or its ``task.json`` is damaged.
    """
    return task_of_kind(student_kind(model)).load(model)
