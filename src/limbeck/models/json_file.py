"""Reading a model's JSON files, with bounds and without trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from limbeck.errors import ModelError
from limbeck.formatting import printable

__all__ = ["faults_in", "read_json", "read_json_list"]

_SHOWN_FAULTS = 3

_MOST_BYTES = 256 * 1024**2
"""About eight times the largest existing tokenizers and label lists."""


def read_json(path: Path, advice: str = "Copy or download the model again") -> dict[str, Any]:
    """Read a file that holds a mapping.

    Args:
        path: the file.
        advice: what to do if it is damaged.

    Raises:
        ModelError: missing, not a plain file, too large, not JSON or not a mapping.
    """
    values: dict[str, Any] = _read(path, dict, "object", advice)
    return values


def read_json_list(path: Path, advice: str = "Copy or download the model again") -> list[Any]:
    """Read a file that holds a list. Raises `ModelError` as `read_json`."""
    values: list[Any] = _read(path, list, "array", advice)
    return values


def _read(path: Path, kind: type, name: str, advice: str) -> Any:
    try:
        if not path.is_file():  # a pipe or a device would be read forever
            raise ValueError("it is not a plain file" if path.exists() else "there is no such file")
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES // 1024**2} MiB")
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, kind):
            raise ValueError(f"a JSON {name} was expected, not {type(values).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ModelError(f"{path} is damaged: {reason}. {advice}") from error
    return values


def faults_in(error: ValidationError) -> str:
    """Return what is wrong with a file's values, on one line."""
    faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {str(e['input'])[:80]!r})" for e in error.errors()]
    more = "; ..." if len(faults) > _SHOWN_FAULTS else ""
    return printable("; ".join(faults[:_SHOWN_FAULTS])) + more
