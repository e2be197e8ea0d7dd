"""Files that are whole or not there, whenever a kill or a full disk comes.

A file is the old one or the new one. A folder may also be missing for the moment between the two; what is
written into folders here is made again by the next start.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from limbeck.errors import StorageError

__all__ = ["guard_storage", "replace_folder", "write_bytes", "write_json", "write_text"]

_STORAGE_ERRNOS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST,
}  # fmt: skip
_STORAGE_WORDS = ("No space left", "File too large", "PytorchStreamWriter", "file write failed", "Disk quota")
"""What torch and safetensors say when the operating system refuses a write; they hide the error number."""


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, all of it or nothing."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content`, all of it or nothing."""
    part = path.with_name(path.name + ".part")
    with guard_storage(path):
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, all of it or nothing."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it takes the place of `folder` once the block has ended well."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    with guard_storage(folder):
        part.mkdir(parents=True)
        yield part
        if folder.exists():
            shutil.rmtree(folder)
        part.replace(folder)


@contextmanager
def guard_storage(path: Path) -> Iterator[None]:
    """Turn a refused write inside the block into a `StorageError` that says where and what to do."""
    try:
        yield
    except Exception as error:
        refused = getattr(error, "errno", None) in _STORAGE_ERRNOS or any(w in str(error) for w in _STORAGE_WORDS)
        if not refused:
            raise
        raise StorageError(
            f"{path} could not be written: {str(error).strip().splitlines()[0]}. What was saved before is untouched. "
            "Make room, or choose another place; a run goes on from its last checkpoint with the same command."
        ) from error
