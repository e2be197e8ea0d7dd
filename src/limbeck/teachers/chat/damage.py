"""What SQLite and the system say of a journal that cannot be used, as errors that say what to do."""

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
    """Turn what SQLite and the system say of the journal `path` into `StorageError`; `DataError` if it is damaged."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if _is_damage(error):
            raise _damaged(path, error) from error
        raise StorageError(
            f"journal {path} could not be written: {error}. What it holds is safe; make room, wait for other "
            "processes, or choose another place on a disk of this machine, and start again"
        ) from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, error) from error
    except OSError as error:
        raise StorageError(f"journal {path} could not be opened: {error.strerror or error}") from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Like `guarded`, where what is read may be something else than was ever written."""
    with guarded(path):
        try:
            yield
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} is not a journal, or is damaged: {excerpt(str(error))}. Put back a copy of it, or what `.recover` of "
        "the sqlite3 command saves of it; or choose another file, where all is paid for anew"
    )


def _is_damage(error: sqlite3.OperationalError) -> bool:
    """Most operational errors are a disk's, some a file's: a table that is gone, a text that is no UTF-8."""
    code = getattr(error, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_ERROR or "decode" in str(error)
