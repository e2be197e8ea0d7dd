"""The run folder: one writer at a time, one run per folder, and the record of the run."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from limbeck.atomic import guard_storage, try_folder, write_text
from limbeck.errors import ConfigError, RunFolderError, StorageError
from limbeck.intact import Damage
from limbeck.ranks import is_main, wait_for_all
from limbeck.runs.config import run_config
from limbeck.runs.run_changes import Change, changes_of
from limbeck.tasks.checked_yaml import parse_yaml
from limbeck.tasks.record import RUN_FILE, environment
from limbeck.tasks.run_config import RunSettings
from limbeck.types import Progress

__all__ = ["hold", "record_run", "refusal_of", "resolved_yaml"]

LOCK_FILE = ".lock"
_NOT_THE_RUN = {"provenance", "output"}
_BEFORE_LEARNING = (RUN_FILE, LOCK_FILE, "journal.sqlite*", "quarantine-*.jsonl")
"""Files of a run that has neither received labels nor trained."""
_CHANGES_SHOWN = 6
_DAMAGED_RESULTS = "results.damaged.json"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold the run folder inside the block. The lock is released when its process ends in any way.

    Raises:
        RunFolderError: another process holds it, or the folder cannot be created.
        StorageError: it cannot be written, or was removed during the work.
    """
    from filelock import FileLock, Timeout

    try:
        try_folder(folder)
    except OSError as error:
        raise RunFolderError(f"cannot create run folder {folder}: {error.strerror}. Choose another output") from error
    if not is_main():
        yield
        return
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise RunFolderError(
            f"run folder {folder} is in use by another process. Wait for it, stop it, or choose another output"
        ) from error
    try:
        yield
    except Exception as error:
        _require_still_there(folder, error)
        raise
    finally:
        lock.release()


def record_run(folder: Path, config: RunSettings, fingerprints: dict[str, str], progress: Progress) -> None:
    """Write ``run.yaml``, or check that the folder holds this very run.

    A setting may change as long as nothing in the folder depends on it (`changes_of`). Until anything was learnt, a
    folder accepts any run; the answers in its journal stay. Unreadable results are set aside and rebuilt at the end of
    the run.

    Raises:
        RunFolderError: the folder holds another run, or the data have changed since it began.
    """
    path = folder / RUN_FILE
    if not path.exists():
        if is_main():
            write_text(path, resolved_yaml(config, fingerprints))
        wait_for_all()  # here and below: another process may already have written the file
        return
    recorded, provenance, data = _recorded(path)
    changes = list(changes_of(_with_new_settings(recorded, config), _plain(config), data, fingerprints, folder))
    if words := _stopping(changes):
        if not _has_learnt_nothing(folder):
            raise RunFolderError(_another_run(folder, changes))
        progress.log(
            f"{folder} holds another run that has learnt nothing yet: {words}. It starts again; answers in its "
            "journal are kept"
        )
        provenance = _provenance(fingerprints)
    elif changes:
        words = "; ".join(change.words for change in changes[:_CHANGES_SHOWN])
        progress.log(f"{folder}: {words}. Nothing in the folder depends on it, so the run continues")
        provenance = {**provenance, "data_sha256": {**data, **fingerprints}}
    if is_main():
        if changes or recorded != _plain(config):
            write_text(path, _written(config, provenance))
        _set_aside_damaged_results(folder, config, progress)
    wait_for_all()


def _stopping(changes: Sequence[Change]) -> str:
    return "; ".join([change.in_full for change in changes if change.used_by != []][:_CHANGES_SHOWN])


def _another_run(folder: Path, changes: Sequence[Change]) -> str:
    narrow = all(change.used_by for change in changes if change.used_by != [])
    remove = "remove what depends on it to rebuild it, " if narrow else ""
    return (
        f"{folder} holds another run: {_stopping(changes)}. Set it back to continue that run, {remove}or choose "
        "another output"
    )


def refusal_of(config: RunSettings, fingerprints: dict[str, str] | None) -> str | None:
    """Return why `limbeck distill` would refuse to work in the run's folder. Nothing is written.

    Args:
        config: the run.
        fingerprints: of its rows; ``None``: unknown, so the contents of the folder are not compared.
    """
    folder = Path(config.output)
    if (words := _no_folder(folder)) is not None:
        return f"{words}. Choose another output"
    if fingerprints is None or not (folder / RUN_FILE).exists():
        return None
    try:
        recorded, _, data = _recorded(folder / RUN_FILE)
    except RunFolderError as error:
        return str(error)
    changes = list(changes_of(_with_new_settings(recorded, config), _plain(config), data, fingerprints, folder))
    return _another_run(folder, changes) if _stopping(changes) and not _has_learnt_nothing(folder) else None


def _no_folder(folder: Path) -> str | None:
    """Return why the folder cannot be created or written, or ``None``."""
    for path in (folder.absolute(), *folder.absolute().parents):
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            if path.is_symlink():
                return f"{path} is a broken link"
            continue
        except OSError as error:
            return f"{folder} cannot be a folder: {error.strerror}"
        if not is_folder:
            return f"{path} is not a folder"
        return None if os.access(path, os.W_OK | os.X_OK) else f"{path} is not writable"
    return None


def _set_aside_damaged_results(folder: Path, config: RunSettings, progress: Progress) -> None:
    from limbeck.results.read import RESULTS_FILE, read_results
    from limbeck.tasks.kept import require_same_results

    file, aside = folder / RESULTS_FILE, folder / _DAMAGED_RESULTS
    if not file.exists():
        return
    try:
        require_same_results(folder)
        if read_results(file).kind == config.task.kind:
            return
        words = "is of another kind of run"
    except RunFolderError as error:
        words = f"cannot be read ({str(error).splitlines()[0]})"
    except Damage as damage:
        words = f"is damaged ({damage})"
    with guard_storage(file):
        file.replace(aside)
    progress.log(f"{file} {words}. It is kept as {aside.name}, and rebuilt from the work of the run")


def _require_still_there(folder: Path, error: Exception) -> None:
    """Raise a clearer error if files of the folder were moved, deleted or replaced."""
    if not (folder / LOCK_FILE).exists():
        raise StorageError(
            f"the run folder {folder} was moved or deleted while the run worked in it. If it was moved, give its new "
            "path as output, and the run resumes"
        ) from error
    name = error.filename if isinstance(error, OSError) else None
    if isinstance(name, str) and Path(name).absolute().is_relative_to(folder.absolute()):
        raise StorageError(
            f"{name} cannot be used: {error}. Was it changed while the run worked? The same command resumes "
            "from what is left"
        ) from error


def resolved_yaml(config: RunSettings, fingerprints: dict[str, str]) -> str:
    """Return every value of the run, with versions, hardware and data fingerprints, as a usable run file."""
    return _written(config, _provenance(fingerprints))


def _provenance(fingerprints: dict[str, str]) -> dict[str, Any]:
    return {**environment(), "data_sha256": fingerprints}


def _written(config: RunSettings, provenance: dict[str, Any]) -> str:
    values = {**_plain(config), "output": config.output, "provenance": provenance}
    return "# Every value of this run. `limbeck distill` accepts this file as it is.\n" + yaml.safe_dump(
        values, sort_keys=False, allow_unicode=True
    )


def _plain(config: RunSettings) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude=_NOT_THE_RUN)


def _recorded(path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """Return the recorded run's values, their provenance, and the fingerprints of its data."""
    try:
        before, _ = parse_yaml(path.read_text(encoding="utf-8"))
        values, provenance = {k: v for k, v in before.items() if k not in _NOT_THE_RUN}, before["provenance"]
        return values, dict(provenance), dict(provenance["data_sha256"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunFolderError(f"{path} is not a run record. Choose another output or remove the folder") from error


def _with_new_settings(recorded: dict[str, Any], config: RunSettings) -> dict[str, Any]:
    """Fill in settings that are newer than the record with their defaults, which the recorded run used."""
    try:
        return _plain(run_config({**recorded, "output": config.output}))
    except ConfigError:  # a setting that no longer exists: another run
        return recorded


def _has_learnt_nothing(folder: Path) -> bool:
    files = (file for file in folder.rglob("*") if file.is_file())
    return all(file.parent == folder and any(map(file.match, _BEFORE_LEARNING)) for file in files)
