"""The ``task.json`` of a student folder: what kind of student it is, and how it reads rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from limbeck.errors import ModelError

__all__ = ["TASK_FILE", "damaged", "task_values"]

TASK_FILE = "task.json"


def task_values(folder: str | Path) -> dict[str, Any]:
    """Return what the file says; nothing where there is none. Raises `ModelError` if it is damaged."""
    path = Path(folder) / TASK_FILE
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise damaged(folder, error) from error
    return values if isinstance(values, dict) else {}


def damaged(folder: str | Path, error: Exception) -> ModelError:
    """Return the error that says what is wrong with the file."""
    path = Path(folder) / TASK_FILE
    return ModelError(f"{path} is damaged: {' '.join(str(error).splitlines()[:3])}. Write the student again")
