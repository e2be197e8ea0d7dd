"""Writing files and folders whole or not at all, even if the process is killed or the disk is full.

A file is the old one or the new one. A folder may also be missing for the moment between the two; what is
written into folders here is rebuilt on the next start.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from limbeck.errors import LimbeckError, StorageError

__all__ = [
    "as_json",
    "guard_storage",
    "replace_file",
    "replace_folder",
    "sync",
    "try_folder",
    "try_output",
    "write_bytes",
    "write_json",
    "write_text",
]

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FAULTY = {*_NO_ROOM, errno.EROFS, errno.EIO, errno.ESTALE}
"""Errors that only a file system gives: any of these inside the block is a refused write."""
_WRONG_PLACE = {
    errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP,
    errno.ENAMETOOLONG, errno.ENXIO,
}  # fmt: skip
"""Errors that any file may cause: they count only for the file being written, or one next to it."""
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")
"""The end of safetensors' messages about an error of the operating system."""
_HIDES_THE_NUMBER = ("torch.serialization", "safetensors.torch", "safetensors.numpy")
"""Modules that write files and may fail without passing on the operating system's error."""
_PROBE_BYTES = 2**20


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, all of it or nothing."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content`, all of it or nothing."""
    with replace_file(path, "wb") as file:
        file.write(content)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, all of it or nothing."""
    write_text(path, as_json(value))


def as_json(value: Any) -> str:
    """Return `value` as JSON in the format of limbeck's files."""
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


@contextmanager
def replace_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Yield a file to fill, text in UTF-8 by default; it replaces `path` once the block has succeeded."""
    part = _part(path)
    try:
        with guard_storage(path):
            _require_replaceable(path)
            with part.open(mode, encoding=None if "b" in mode else "utf-8") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            sync([path.parent])
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it replaces `folder` once the block has succeeded."""
    part = _part(folder)
    shutil.rmtree(part, ignore_errors=True)
    try:
        with guard_storage(folder):
            part.mkdir(parents=True)
            yield part
            sync([part, *part.rglob("*")])
            if folder.exists():
                shutil.rmtree(folder)
            part.replace(folder)
            sync([folder.parent])
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def sync(paths: Iterable[Path]) -> None:
    """Flush files, and the entries of folders, to the disk itself, so that they survive a power cut."""
    for path in paths:
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot sync folders
                raise
        finally:
            os.close(number)


def try_output(path: Path | None, *, parents: bool = False) -> None:
    """Refuse an output file that cannot be written, before any work is done for it.

    Args:
        path: the output; ``None`` if there is none.
        parents: create its parent folders.

    Raises:
        StorageError: the output cannot be written; says why.
    """
    if path is None:
        return
    with guard_storage(path):
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        _require_replaceable(path)
        try:
            _part(path).touch()
        finally:
            _part(path).unlink(missing_ok=True)


def try_folder(folder: Path) -> None:
    """Create a folder for outputs; refuse one that cannot be written into, before any work is done for it.

    Raises:
        StorageError: the folder cannot be written into; says why.
    """
    with guard_storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


@contextmanager
def guard_storage(path: Path) -> Iterator[None]:
    """Turn a refused write inside the block into a `StorageError` that says where and what to do."""
    try:
        yield
    except LimbeckError:
        raise
    except Exception as error:
        refused = _refusal(error, path)
        if refused is None:
            raise
        advice = "Choose another path"
        if _number(refused) in _FAULTY:
            advice = "Free some space or choose another path; the same command resumes a run from its last checkpoint"
        raise StorageError(
            f"{path} could not be written: {_words(refused, path)}. What was saved before is untouched. {advice}."
        ) from error


def _part(path: Path) -> Path:
    return path.parent / f"{path.name}.part"


def _require_replaceable(path: Path) -> None:
    """Refuse folders, devices and pipes, which a file would replace.

    Raises:
        OSError: as from the operating system.
    """
    if not path.name or path.is_dir():  # without a name: / or ..
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.ENXIO, "It is not a regular file (for standard output, give no output path)", str(path))


def _refusal(error: Exception, path: Path) -> BaseException | None:
    """Return the file system's error that caused `error`, or ``None``."""
    reasons = list(_reasons(error))
    for one in reasons:
        number = _number(one)
        if number in _FAULTY or (number in _WRONG_PLACE and _is_beside(one, path)):
            return one
    if any(_comes_from_a_writer(one) for one in reasons):
        return _probe(path)
    return None


def _reasons(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = _RUST_ERROR.search(str(error))
    return int(found[1]) if found else None


def _is_beside(error: BaseException, path: Path) -> bool:
    """Whether an error is about `path`, or about something in or below its folder."""
    if not isinstance(error, OSError):
        return True  # a writer that gives no name
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    return any(Path(os.path.abspath(name)).is_relative_to(path.absolute().parent) for name in names)


def _comes_from_a_writer(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") in _HIDES_THE_NUMBER:
            return True
        trace = trace.tb_next
    return False


def _probe(path: Path) -> OSError | None:
    """Return the file system's error on writing a megabyte at `path`; ``None`` if it succeeds."""
    try:
        with tempfile.TemporaryFile(dir=path if path.is_dir() else path.parent) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as refused:
        return refused
    return None


def _words(error: BaseException, path: Path) -> str:
    """Return the error's words, with the file it is about unless that is `path`."""
    if not isinstance(error, OSError) or error.strerror is None:
        return (str(error).strip().splitlines() or [type(error).__name__])[0].removesuffix(".")
    known = error.filename in (None, str(path), str(_part(path)))
    return error.strerror if known or not isinstance(error.filename, str) else f"{error.strerror} ({error.filename})"
