"""Work kept in the run folder and repeated if damaged: predictions and the student."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from limbeck.atomic import as_json, guard_storage, write_bytes
from limbeck.intact import Damage, checksum, content_mark, file_mark, open_seal, require_same, seal
from limbeck.ranks import is_main, wait_for_all
from limbeck.results.read import RESULTS_FILE
from limbeck.tasks.task_file import CALIBRATION_FILE
from limbeck.types import Progress

__all__ = [
    "MARKS_FILE",
    "is_kept",
    "kept",
    "kept_array",
    "mark_student",
    "require_same_results",
    "student_is_whole",
    "write_results",
]

MARKS_FILE = "checksums.json"
"""Sizes and checksums of the files in a run folder; files that are not listed are trusted."""
_STUDENT = "student"

T = TypeVar("T")


def kept(run: Path, name: str, *, make: Callable[[], bytes], read: Callable[[Path], T], progress: Progress) -> T:
    """Return the content of a file of a run folder; the main process creates it if it is missing or damaged.

    Args:
        run: the run folder.
        name: of the file, in the folder.
        make: returns the content.
        read: raises `ValueError`, `EOFError` or `TypeError` if it cannot read the file.
        progress: reports damage.
    """
    path = run / name
    if is_main() and not (path.exists() and _is_whole(run, name, read, progress)):
        content = make()
        with guard_storage(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        _mark(run, {name: content_mark(len(content), checksum(content))})  # first, so that no file lacks it
        write_bytes(path, content)
    wait_for_all()
    return read(path)


def is_kept(run: Path, name: str, read: Callable[[Path], object], progress: Progress) -> bool:
    """Whether a file of a run folder is there and whole; the same in all processes. A damaged file is removed."""
    path = run / name
    if is_main() and path.exists() and not _is_whole(run, name, read, progress):
        path.unlink()
    wait_for_all()
    return path.exists()


def kept_array(
    run: Path, name: str, make: Callable[[], NDArray[np.float32]], progress: Progress
) -> NDArray[np.float32]:
    """Return an array kept in a run folder; see `kept`."""

    def content() -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, make())
        return buffer.getvalue()

    def read(path: Path) -> NDArray[np.float32]:
        found: NDArray[np.float32] = np.load(path)
        return found

    return kept(run, name, make=content, read=read, progress=progress)


def write_results(run: Path, results: BaseModel) -> None:
    """Write ``results.json``, and record its checksum."""
    content = as_json(results.model_dump()).encode()
    _mark(run, {RESULTS_FILE: content_mark(len(content), checksum(content))})
    write_bytes(run / RESULTS_FILE, content)


def require_same_results(run: Path) -> None:
    """Check that ``results.json`` is as the run wrote it. Raises `Damage`."""
    if (mark := _marks(run).get(RESULTS_FILE)) is not None:
        require_same(run / RESULTS_FILE, mark)


def mark_student(run: Path) -> None:
    """Record checksums of the exported student; `limbeck calibrate` may replace its temperature."""
    files = [file for file in sorted((run / _STUDENT).rglob("*")) if file.is_file() and file.name != CALIBRATION_FILE]
    known = {name: mark for name, mark in _marks(run).items() if not name.startswith(f"{_STUDENT}/")}
    _mark(run, {str(file.relative_to(run)): file_mark(file) for file in files}, known)


def student_is_whole(run: Path, progress: Progress) -> bool:
    """Whether the exported student has all its files, and its weights are as they were written.

    Files that people may change, such as the model card, are left alone; changes are reported.
    """
    for name, mark in _marks(run).items():
        if not name.startswith(f"{_STUDENT}/"):
            continue
        try:
            require_same(run / name, mark)
        except Damage as damage:
            if name.endswith(".safetensors") or not (run / name).exists():
                progress.log(f"{run / _STUDENT} is damaged: {damage}. The student is exported again")
                return False
            progress.log(
                f"{run / name} was changed or damaged since the run wrote it, and is left alone. If that was not "
                f"you, delete {run / _STUDENT} and run the same command again"
            )
    return (run / _STUDENT).is_dir()


def _is_whole(run: Path, name: str, read: Callable[[Path], object], progress: Progress) -> bool:
    try:
        if (mark := _marks(run).get(name)) is not None:
            require_same(run / name, mark)
        read(run / name)
    except (Damage, ValueError, EOFError, TypeError) as damage:
        progress.log(f"{run / name} is damaged: {damage}. It is computed again")
        return False
    return True


def _marks(run: Path) -> dict[str, str]:
    try:
        return dict(open_seal(run / MARKS_FILE, None)["marks"])
    except (Damage, KeyError):
        return {}


def _mark(run: Path, marks: dict[str, str], known: dict[str, str] | None = None) -> None:
    seal(run / MARKS_FILE, {"marks": {**(_marks(run) if known is None else known), **marks}}, None)
