"""Every error that limbeck raises on purpose, in one tree.

    LimbeckError                 the command line prints it without a traceback and exits with 2
    ├── ConfigError              the run file, a recipe or an option asks for something that cannot be
    ├── DataError                a row, a file or a whole data set is not usable
    ├── ModelError               a model or tokenizer cannot be loaded, or does not fit the task
    ├── TeacherError             a teacher behind an API cannot be used, or gives nothing but failures
    ├── RunFolderError           the run folder is in use, holds another run, or cannot be read
    ├── StorageError             a file could not be written (for example: the disk is full)
    └── NonFiniteLoss            training diverged; the last good checkpoint is kept

A message says what was expected, what was found, where, and what to do. Any other
exception is a bug in limbeck (exit code 1).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DataError",
    "LimbeckError",
    "ModelError",
    "NonFiniteLoss",
    "RunFolderError",
    "StorageError",
    "TeacherError",
    "near_misses",
]


class LimbeckError(Exception):
    """Base of all errors that a user can cause and fix."""


class ConfigError(LimbeckError):
    """The run file, a recipe's arguments or a command-line option cannot be used."""


class DataError(LimbeckError):
    """A row, a file or a data set cannot be used; names file, line and field."""


class ModelError(LimbeckError):
    """A model or tokenizer cannot be loaded, or does not fit the task."""


class TeacherError(LimbeckError):
    """A teacher behind an API rejects the key or model, changes, or gives nothing but failures."""


class RunFolderError(LimbeckError):
    """The run folder is in use, holds another run, or lacks what is asked of it."""


class StorageError(LimbeckError):
    """A file could not be written; what was on disk before is still there."""


class NonFiniteLoss(LimbeckError):
    """A loss term became NaN or infinite; training stopped before the weights changed."""


def near_misses(word: str, known: Iterable[str]) -> str:
    """Return ``"did you mean 'x'?"`` for close spellings, else the known words.

    >>> near_misses("max_step", ["max_steps", "batch_size"])
    "did you mean 'max_steps'?"
    """
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=2, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(f"'{name}'" for name in close) + "?"
    return "known here: " + ", ".join(known)
