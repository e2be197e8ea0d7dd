"""Arrays that are computed once, batch by batch, and kept on disk.

The pass over the batches survives a kill: written values stay, and the next run continues from there.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import guard_storage, sync
from limbeck.intact import Damage, checksum, open_seal, seal
from limbeck.types import Progress

__all__ = ["keep_arrays", "seconds_taken"]

_STATE_FILE = "state.json"
_SAVE_EVERY_BATCHES = 64


def keep_arrays(
    compute: Callable[[int], Mapping[str, NDArray[np.float32]]],
    batches: Sequence[NDArray[np.int64]],
    *,
    folder: Path,
    fingerprint: str,
    title: str,
    progress: Progress,
    items: Sequence[int] | None = None,
) -> None:
    """Compute arrays, or finish or reuse those in `folder`: one ``NAME.npy`` for each, and the time taken.

    Args:
        compute: returns, for a batch number, the values of each array by name, ``[B, C]``.
        batches: which rows of the arrays each batch fills; together every row once.
        folder: a folder only for these arrays.
        fingerprint: identity of everything the values depend on. A folder with another, or with damage, is rebuilt.
        title: title of the progress bar.
        progress: shows the progress.
        items: progress of each batch in the bar; default: its rows.
    """
    done, seconds_before, checksums = _state(folder, fingerprint)
    has_marks = done == 0 or bool(checksums)  # arrays from before there were checksums are trusted
    rows, sizes = sum(map(len, batches)), items or [len(batch) for batch in batches]
    started = time.perf_counter()
    if damage := _damage(folder, rows, batches[:done], checksums):
        progress.log(f"{folder} is damaged: {damage}. The {title} are computed again")
        done, seconds_before, checksums = 0, 0.0, {}
    if done == 0:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    arrays: dict[str, NDArray[np.float32]] = {}

    def save(batches_done: int) -> None:
        for array in arrays.values():
            array.flush()  # type: ignore[attr-defined]
        sync([folder])
        seconds = seconds_before + time.perf_counter() - started
        state = {"fingerprint": fingerprint, "batches_done": batches_done, "seconds": seconds}
        seal(folder / _STATE_FILE, {**state, "checksums": checksums if has_marks else {}}, None)

    with progress.track(title, sum(sizes), sum(sizes[:done])) as update, guard_storage(folder):
        for number in range(done, len(batches)):
            for name, values in compute(number).items():
                if name not in arrays:
                    arrays[name] = _open(folder / f"{name}.npy", (rows, values.shape[-1]))
                wanted = np.ascontiguousarray(values)
                arrays[name][batches[number]] = wanted
                checksums[name] = checksum(wanted, checksums.get(name, 0))
            if (number + 1) % _SAVE_EVERY_BATCHES == 0:
                save(number + 1)
            update(sizes[number])
    if done < len(batches):
        save(len(batches))


def seconds_taken(folder: Path) -> float:
    """Return the seconds spent computing the arrays of a folder, restarts included."""
    return float(json.loads((folder / _STATE_FILE).read_text(encoding="utf-8"))["seconds"])


def _open(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    mode = "r+" if path.exists() else "w+"
    array: NDArray[np.float32] = np.lib.format.open_memmap(path, mode=mode, dtype=np.float32, shape=shape)
    return array


def _state(folder: Path, fingerprint: str) -> tuple[int, float, dict[str, int]]:
    """Return batches done, seconds taken, and each array's checksum; nothing for a folder with another fingerprint."""
    try:
        state = open_seal(folder / _STATE_FILE, None)
    except Damage:  # or missing
        return 0, 0.0, {}
    if state.get("fingerprint") != fingerprint:
        return 0, 0.0, {}
    return int(state["batches_done"]), float(state["seconds"]), dict(state.get("checksums", {}))


def _damage(folder: Path, rows: int, batches: Sequence[NDArray[np.int64]], checksums: dict[str, int]) -> str | None:
    """Describe the array that does not hold the values computed for `batches`. Checksums run from batch to batch."""
    for name, expected in checksums.items():
        found = 0
        try:
            array = np.load(folder / f"{name}.npy", mmap_mode="r")
            if array.shape[:1] != (rows,):
                return f"{name}.npy has another shape"
            for batch in batches:
                found = checksum(array[batch], found)
        except (OSError, ValueError, EOFError) as error:
            return f"{name}.npy cannot be read: {error}"
        if found != expected:
            return f"{name}.npy is not what was written"
    return None
