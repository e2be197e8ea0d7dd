"""Detecting damaged files: their sizes and checksums, stored in a file that is written after them.

CRC-32 finds the damage that disks, power cuts and copies do, and takes less than half a second of processor time
per gigabyte. It is no protection against tampering.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.atomic import sync, write_json

__all__ = ["Damage", "checksum", "content_mark", "file_mark", "open_seal", "require_same", "seal"]

_FILES, _OWN = "files", "checksum"
_AT_ONCE = 2**22


class Damage(Exception):
    """A file differs from what was written; says which and how."""


def checksum(content: Any, so_far: int = 0) -> int:
    """Return the CRC-32 of bytes, continuing from that of the bytes before them."""
    return zlib.crc32(content, so_far)


def file_mark(path: Path) -> str:
    """Return the size and checksum of a file, as they are stored."""
    size, found = 0, 0
    with path.open("rb") as file:
        while part := file.read(_AT_ONCE):
            size, found = size + len(part), checksum(part, found)
    return content_mark(size, found)


def content_mark(size: int, found: int) -> str:
    """Return a file's mark, given its size and the checksum of its content."""
    return f"{size} bytes, {found:08x}"


def require_same(path: Path, mark: str) -> None:
    """Compare a file with its stored mark.

    Raises:
        Damage: the file is missing or differs.
    """
    if not path.is_file():
        raise Damage(f"{path.name} is missing")
    try:
        found = file_mark(path)
    except OSError as error:
        raise Damage(f"{path.name} cannot be read: {error.strerror}") from error
    if found != mark:
        raise Damage(f"{path.name} is not what was written ({found}; it was {mark})")


def seal(path: Path, values: Mapping[str, Any], folder: Path | None) -> None:
    """Write `values` as JSON with the marks of all files in `folder`, once these are safely on disk.

    A sealed file therefore implies whole files, even after a power cut.

    Args:
        path: the sealed file, in `folder` or next to it.
        values: the other content of the file.
        folder: files to mark, including subfolders but not `path`. ``None``: `path` vouches only for itself.
    """
    sealed = dict(values)
    if folder is not None:
        files = [file for file in sorted(folder.rglob("*")) if file != path]
        sync([*files, folder, folder.parent])
        sealed[_FILES] = {str(file.relative_to(folder)): file_mark(file) for file in files if file.is_file()}
    sealed = json.loads(json.dumps(sealed))  # as it will be read back
    write_json(path, {**sealed, _OWN: _own(sealed)})


def open_seal(path: Path, folder: Path | None) -> dict[str, Any]:
    """Return the values of a sealed file whose files are unchanged. A file from before there were marks is trusted.

    Args:
        path: the sealed file.
        folder: the folder of its files; ``None``: do not compare them.

    Raises:
        Damage: the file cannot be read, or one of its files is missing or differs.
    """
    try:
        sealed = json.loads(path.read_bytes())
        own = sealed.pop(_OWN, None)
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise Damage(f"{path.name} cannot be read") from error
    if (own is not None or _FILES in sealed) and own != _own(sealed):
        raise Damage(f"{path.name} is not what was written")
    for name, mark in sealed.pop(_FILES, {}).items():
        if folder is not None:
            require_same(folder / name, mark)
    return dict(sealed)


def _own(sealed: Mapping[str, Any]) -> str:
    return f"{checksum(json.dumps(sealed, sort_keys=True).encode()):08x}"
