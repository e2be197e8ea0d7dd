"""Errors of SQLite and the system about a journal, turned into errors that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from limbeck.errors import DataError, StorageError
from limbeck.teachers.chat.said import excerpt

__all__ = ["guarded", "reading"]


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and the system about the journal `path` into `StorageError`, or `DataError` if damaged."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if _is_damage(error):
            raise _damaged(path, error) from error
        raise StorageError(
            f"journal {path} could not be written: {error}. Its content is safe; free some space, wait for other "
            "processes, or choose another path on a local disk, and start again"
        ) from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, error) from error
    except OSError as error:
        raise StorageError(f"journal {path} could not be opened: {error.strerror or error}") from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Like `guarded`, for reads, which may meet damaged content."""
    with guarded(path):
        try:
            yield
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} is not a journal, or is damaged: {excerpt(str(error))}. Restore it from a copy, or from the output "
        "of the sqlite3 command's `.recover`; or choose another file, for which everything is paid for again"
    )


def _is_damage(error: sqlite3.OperationalError) -> bool:
    """Return whether an operational error comes from the file (a lost table, invalid UTF-8) and not from the disk."""
    code = getattr(error, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_ERROR or "decode" in str(error)
