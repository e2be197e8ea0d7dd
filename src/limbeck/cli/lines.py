"""Lines of standard input or a text file: texts, or JSON objects."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from limbeck.errors import DataError

__all__ = ["is_by_line", "json_object", "read_lines"]


def is_by_line(file: str) -> bool:
    """Say whether `file` is standard input or a text file."""
    return file == "-" or file.endswith(".txt")


def read_lines(file: str) -> Iterator[tuple[str, str, int]]:
    """Yield the lines of standard input or a text file that are not empty, with the file's name and their number.

    Raises:
        DataError: no such file, or a line is not UTF-8.
    """
    name = "standard input" if file == "-" else file
    try:
        with sys.stdin.buffer if file == "-" else open(file, "rb") as stream:
            for number, raw in enumerate(stream, start=1):
                try:
                    line = raw.decode("utf-8").strip()
                except UnicodeDecodeError as error:
                    raise DataError(f"{name}:{number}: not UTF-8 (byte {error.start + 1} of the line)") from error
                if line:
                    yield line, name, number
    except FileNotFoundError as error:
        raise DataError(f"there is no file {file}") from error


def json_object(line: str, where: str) -> dict[str, Any] | None:
    """Return a line's JSON object; ``None`` where it is a text.

    Raises:
        DataError: it looks like JSON but is not.
    """
    if not line.startswith("{"):
        return None
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: looks like JSON but is not: {error.msg} (column {error.colno})") from error
    return row if isinstance(row, dict) else None
