"""Lines of standard input or a text file: texts, or JSON objects."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TypeVar

from limbeck.data.records import BadRow, Record, brief
from limbeck.errors import DataError

__all__ = ["is_by_line", "read_lines", "sound"]

_LONGEST_BYTES = 2**26
"""Maximum length of a line: endless input must not fill the memory."""
T = TypeVar("T")


def is_by_line(file: str) -> bool:
    """Return whether `file` is standard input or a text file."""
    return file == "-" or file.endswith(".txt")


def read_lines(file: str, text: str) -> Iterator[tuple[str, Record | BadRow, bool]]:
    """Yield a record for each non-empty line of standard input or a text file.

    Args:
        file: its name, ``-`` for standard input.
        text: the field for the content of a line that is not a JSON object.

    Returns:
        The file's name, the record (or why there is none), and whether the line was an object.

    Raises:
        DataError: the file does not exist or cannot be read.
    """
    name = "standard input" if file == "-" else file
    try:
        with sys.stdin.buffer if file == "-" else open(file, "rb") as stream:
            number = 0
            while raw := stream.readline(_LONGEST_BYTES + 1):
                number += 1
                if len(raw) > _LONGEST_BYTES:
                    raise DataError(f"{name}:{number}: a line of more than {_LONGEST_BYTES // 2**20} MiB")
                if raw.strip():
                    record = _record(number, raw, text)
                    yield name, record, isinstance(record, Record) and raw.lstrip().startswith(b"{")
    except FileNotFoundError as error:
        raise DataError(f"there is no file {file}") from error
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}") from error


def sound(name: str, found: T | BadRow) -> T:
    """Return a line's record if it is not a bad row; `name` is the file. Raises `DataError`."""
    if isinstance(found, BadRow):
        field = f"field '{found.field}': " if found.field is not None else ""
        raise DataError(f"{name}:{found.number}: {field}{brief(found.reason)}")
    return found


def _record(number: int, raw: bytes, text: str) -> Record | BadRow:
    try:
        line = raw.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        words = f"not UTF-8 (byte {error.start + 1} of the line)"
        return BadRow(number, None, words, raw.decode("utf-8", "backslashreplace"))
    if not line.startswith("{"):
        return Record(number, {text: line})
    try:
        return Record(number, json.loads(line))
    except json.JSONDecodeError as error:
        reason = f"looks like JSON but is not: {error.msg} (column {error.colno})"
    except RecursionError:
        reason = "JSON that is nested too deeply"
    except ValueError as error:  # a number with more digits than Python converts
        reason = f"JSON that cannot be used: {error}"
    return BadRow(number, None, reason, line)
