"""The run folder: one writer at a time, one run per folder, and what the run was."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from limbeck.atomic import guard_storage, write_text
from limbeck.errors import ConfigError, RunFolderError
from limbeck.ranks import is_main
from limbeck.runs.config import AnyRun, run_config
from limbeck.types import Progress

__all__ = ["RUN_FILE", "environment", "hold", "record_run", "resolved_yaml"]

RUN_FILE = "run.yaml"
_NOT_THE_RUN = {"provenance", "output"}
_HOW_AN_API_IS_ASKED = frozenset(
    f"teacher.api.{name}"
    for name in (
        "base_url", "key_env", "concurrency", "timeout_s", "tries", "requests_per_minute", "tokens_per_minute",
        "prices", "budget_usd", "budget_tokens", "samples_per_call", "limit_field",
    )
)  # fmt: skip
"""What may change within a run: where, how fast and at what price is asked. The journal has the same answers."""
_BEFORE_LEARNING = (RUN_FILE, ".lock", "journal.sqlite*", "quarantine-*.jsonl")
"""Files of a run that has neither asked for labels with success nor trained."""


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Own the run folder inside the block. The lock dies with its process, however that ends.

    Raises:
        RunFolderError: another process owns it, or the folder cannot be made.
    """
    from filelock import FileLock, Timeout

    try:
        with guard_storage(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"cannot make run folder {folder}: {error.strerror}. Choose another output") from error
    if not is_main():
        yield
        return
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise RunFolderError(
            f"run folder {folder} is in use by another process. Wait for it, stop it, or choose another output"
        ) from error
    try:
        yield
    finally:
        lock.release()


def record_run(folder: Path, config: AnyRun, fingerprints: dict[str, str], progress: Progress) -> None:
    """Write ``run.yaml``, or check that the folder's is this very run.

    How an API is asked may change: a run that ended at a ceiling or a wrong address goes on with another. A folder in
    which nothing was learnt yet takes any run; the answers in its journal stay.

    Raises:
        RunFolderError: the folder holds another run, or the data have changed since it began.
    """
    path = folder / RUN_FILE
    if not path.exists():
        if is_main():
            write_text(path, resolved_yaml(config, fingerprints))
        return
    recorded, provenance, data = _recorded(path)
    if changed := _changes(recorded, data, config, fingerprints):
        if not _has_learnt_nothing(folder):
            raise RunFolderError(
                f"{folder} holds another run: {changed}. Set it back to go on with that run, or choose another output"
            )
        progress.say(
            f"{folder} holds another run that has learnt nothing yet: {changed}. It starts afresh; answers in its "
            "journal are kept"
        )
        provenance = _provenance(fingerprints)
    if is_main() and (changed or recorded != _plain(config)):
        write_text(path, _written(config, provenance))


def resolved_yaml(config: AnyRun, fingerprints: dict[str, str]) -> str:
    """Return every value of the run, with versions, hardware and data fingerprints; a run file that runs again."""
    return _written(config, _provenance(fingerprints))


def _provenance(fingerprints: dict[str, str]) -> dict[str, Any]:
    return {**environment(), "data_sha256": fingerprints}


def _written(config: AnyRun, provenance: dict[str, Any]) -> str:
    values = {**_plain(config), "output": config.output, "provenance": provenance}
    return "# Every value of this run. `limbeck distill` takes this file as it is.\n" + yaml.safe_dump(
        values, sort_keys=False, allow_unicode=True
    )


def _plain(config: AnyRun) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude=_NOT_THE_RUN)


def _recorded(path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """Return the recorded run's values, their provenance, and the fingerprints of its data."""
    try:
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
        values, provenance = {k: v for k, v in before.items() if k not in _NOT_THE_RUN}, before["provenance"]
        return values, provenance, provenance["data_sha256"]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise RunFolderError(f"{path} is not a run record. Choose another output or remove the folder") from error


def _changes(recorded: dict[str, Any], data: dict[str, str], config: AnyRun, fingerprints: dict[str, str]) -> str:
    """Say what makes a run another than the recorded one; the first six differences."""
    differences = _differences(_with_new_settings(recorded, config), _plain(config))
    changed = [f"{name} was {old}, is {new}" for name, old, new in differences if not _is_how_asked(name)]
    changed += [f"the {split} rows have changed" for split, sha in fingerprints.items() if data.get(split) != sha]
    return "; ".join(changed[:6])


def _with_new_settings(recorded: dict[str, Any], config: AnyRun) -> dict[str, Any]:
    """Give settings that are newer than the record their defaults, by which the recorded run went."""
    try:
        return _plain(run_config({**recorded, "output": config.output}))
    except ConfigError:  # a setting that there is no more: another run, whatever the others are
        return recorded


def _has_learnt_nothing(folder: Path) -> bool:
    files = (file for file in folder.rglob("*") if file.is_file())
    return all(file.parent == folder and any(map(file.match, _BEFORE_LEARNING)) for file in files)


def _is_how_asked(name: str) -> bool:
    return any(name == known or name.startswith(f"{known}.") for known in _HOW_AN_API_IS_ASKED)


def _differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif old != new:
        yield name, old, new


def environment() -> dict[str, str]:
    """Versions and hardware that figures depend on."""
    import torch

    packages = ("limbeck", "torch", "transformers", "accelerate", "tokenizers", "numpy")
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    return {**found, "python": platform.python_version(), "machine": f"{_processor()}, {platform.system()}",
            "device": device}  # fmt: skip


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
