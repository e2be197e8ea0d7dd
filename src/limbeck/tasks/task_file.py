"""The ``task.json`` of a student folder: the kind of student, and how it reads rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, PositiveInt, ValidationError

from limbeck.errors import ModelError
from limbeck.models.checked_folder import model_folder
from limbeck.models.json_file import faults_in, read_json
from limbeck.recipes.kinds import DEFAULT_KIND, KINDS

__all__ = ["CALIBRATION_FILE", "TASK_FILE", "read_task", "student_kind", "student_max_length"]

TASK_FILE = "task.json"
CALIBRATION_FILE = "calibration.json"
"""The temperature that calibrates a classifier's probabilities."""
Task = TypeVar("Task", bound=BaseModel)
_ADVICE = "Write the student again, or copy its folder again"


def _values(folder: str | Path) -> dict[str, Any]:
    """Return the content of a model's file (folder or hub name), empty if there is none.

    Raises:
        ModelError: there is no such model, or the file is damaged.
    """
    path = model_folder(str(folder)) / TASK_FILE
    return read_json(path, _ADVICE) if path.exists() else {}


def student_kind(folder: str | Path) -> str:
    """Return the kind of task of a student; a model without the file is a classifier. Raises `ModelError`."""
    kind = _values(folder).get("kind", DEFAULT_KIND)
    if kind not in list(KINDS):  # a list, as values of a damaged file may not be hashable
        raise ModelError(f"{Path(folder) / TASK_FILE} is damaged: kind: there is no kind of task {kind!r}. {_ADVICE}")
    return str(kind)


def read_task(folder: str | Path, model: type[Task], *, without: str | None = None) -> Task:
    """Return the file as a `model`, except the field `without`.

    Raises:
        ModelError: it is damaged, or of a different kind from `model`.
    """
    values, wanted = _values(folder), model.model_fields["kind"].default
    if (kind := student_kind(folder)) != wanted:
        said = f"its {TASK_FILE} says {kind}" if values else f"it has no {TASK_FILE}"
        raise ModelError(f"{folder} is not a student of the kind {wanted}: {said}")
    return _checked(folder, {key: value for key, value in values.items() if key != without}, model)


def student_max_length(folder: str | Path) -> int | None:
    """Return the student's token limit; ``None`` without the file. Raises `ModelError` if it is damaged."""
    values = _values(folder)
    return _checked(folder, values, _Limit).max_length if values else None


class _Limit(BaseModel):
    max_length: PositiveInt


def _checked(folder: str | Path, values: dict[str, Any], model: type[Task]) -> Task:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ModelError(f"{Path(folder) / TASK_FILE} is damaged: {faults_in(error)}. {_ADVICE}") from error
