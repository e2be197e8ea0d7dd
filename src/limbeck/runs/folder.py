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
from limbeck.errors import RunFolderError
from limbeck.ranks import is_main
from limbeck.runs.config import AnyRun

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


def record_run(folder: Path, config: AnyRun, fingerprints: dict[str, str]) -> None:
    """Write ``run.yaml``, or check that the folder's is this very run.

    How an API is asked may change: a run that ended at a ceiling or a wrong address goes on with another.

    Raises:
        RunFolderError: the folder holds another run, or the data have changed since it began.
    """
    path = folder / RUN_FILE
    if path.exists():
        _require_same_run(path, config, fingerprints)
    elif is_main():
        write_text(path, resolved_yaml(config, fingerprints))


def resolved_yaml(config: AnyRun, fingerprints: dict[str, str]) -> str:
    """Return every value of the run, with versions, hardware and data fingerprints; a run file that runs again."""
    return _written(config, {**environment(), "data_sha256": fingerprints})


def _written(config: AnyRun, provenance: dict[str, Any]) -> str:
    values = {**_plain(config), "output": config.output, "provenance": provenance}
    return "# Every value of this run. `limbeck distill` takes this file as it is.\n" + yaml.safe_dump(
        values, sort_keys=False, allow_unicode=True
    )


def _plain(config: AnyRun) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude=_NOT_THE_RUN)


def _require_same_run(path: Path, config: AnyRun, fingerprints: dict[str, str]) -> None:
    try:
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
        old, old_data = {k: v for k, v in before.items() if k not in _NOT_THE_RUN}, before["provenance"]["data_sha256"]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise RunFolderError(f"{path} is not a run record. Choose another output or remove the folder") from error
    differences = [found for found in _differences(old, _plain(config)) if not _is_how_asked(found[0])]
    changed = [f"{name} was {a}, is {b}" for name, a, b in differences]
    changed += [f"the {split} rows have changed" for split, sha in fingerprints.items() if old_data.get(split) != sha]
    if changed:
        raise RunFolderError(
            f"{path.parent} holds another run: {'; '.join(changed[:6])}. "
            "Set it back to go on with that run, or choose another output"
        )
    if old != _plain(config) and is_main():
        write_text(path, _written(config, before["provenance"]))


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
