"""A teacher's signals for fixed rows, computed once and kept on disk.

Rows are joined with their signal by row number, never by position in a batch or by step, so shuffling,
accumulation, epochs and ranks cannot part them. The pass over the rows survives a kill: what is
written stays, and the next run goes on from there.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.atomic import guard_storage, sync
from limbeck.intact import Damage, checksum, open_seal, seal
from limbeck.types import Batch, Needs, Progress, Signal, Tap, Teacher

__all__ = ["StoredTeacher", "can_store", "open_signals", "store_signals"]

_SAVE_EVERY_BATCHES = 64
_STATE = "state.json"


def can_store(needs: Needs, *, rows: int, classes: int, width: int, limit_bytes: int) -> bool:
    """Whether the signals are of the small kinds (class logits, first-position states) and fit `limit_bytes`."""
    size = 4 * rows * (classes * needs.logits + width * len(needs.teacher_first))
    return not needs.teacher_hidden and size <= limit_bytes


class StoredTeacher:
    """Serves stored signals by row number. Arrays are mapped, not loaded.

    Args:
        arrays: by kind of signal.
        seconds: what computing them took.
        states: is asked for hidden states at every position, which are too large to keep.
    """

    def __init__(self, arrays: dict[str, NDArray[np.float32]], seconds: float, states: Teacher | None = None) -> None:
        self._arrays = arrays
        self._states = states
        self.seconds = seconds
        """What computing the signals took, restarts included."""

    def signal(self, batch: Batch, needs: Needs) -> Signal:
        """Return the stored logits and first-position states of the batch's rows, and other states live."""
        signal: Signal = {}
        live = frozenset(tap for tap in needs.teacher_taps if tap.site != "first")
        states = {Tap("first", layer): self._pick(f"first-{layer}", batch["rows_B"]) for layer in needs.teacher_first}
        if live:
            assert self._states is not None
            states |= self._states.signal(batch, Needs(teacher_taps=live))["states"]
        if needs.logits:
            signal["logits"] = self._pick("logits", batch["rows_B"])
        if states:
            signal["states"] = states
        return signal

    def log_probs(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the teacher's log-probabilities ``[N, C]`` of the given rows, in nats."""
        return torch.from_numpy(self._arrays["logits"][rows]).double().log_softmax(dim=-1).numpy()

    def _pick(self, name: str, rows_B: Tensor) -> Tensor:
        return torch.from_numpy(self._arrays[name][rows_B.cpu().numpy()]).to(rows_B.device)


def store_signals(
    teacher: Teacher,
    *,
    needs: Needs,
    batches: Sequence[NDArray[np.int64]],
    make_batch: Callable[[NDArray[np.int64]], Batch],
    rows: int,
    folder: Path,
    fingerprint: str,
    progress: Progress,
) -> StoredTeacher:
    """Compute the teacher's signals for all rows, or finish or reuse what `folder` holds.

    Args:
        teacher: asked once for each batch.
        needs: kinds of signal to keep.
        batches: row numbers, batch by batch; together every row once.
        make_batch: builds the batch of given rows, on the teacher's device.
        rows: number of rows.
        folder: where the arrays are kept, one ``.npy`` file a kind.
        fingerprint: identity of teacher, encoding and rows. A folder with another one, or with damage, is made anew.
        progress: shows how far it is.
    """
    started = time.perf_counter()
    done, seconds_before, checksums = _state(folder / _STATE, fingerprint)
    has_marks = done == 0 or bool(checksums)  # signals of before there were checksums are believed to their end
    if damage := _damage(folder, rows, batches[:done], checksums):
        progress.log(f"{folder} is damaged: {damage}. The teacher's signals are computed again")
        done, seconds_before, checksums = 0, 0.0, {}
    if done == 0:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    arrays: dict[str, NDArray[np.float32]] = {}
    total, already = (sum(map(len, part)) for part in (batches, batches[:done]))

    def save(batches_done: int) -> None:
        for array in arrays.values():
            array.flush()  # type: ignore[attr-defined]
        sync([folder])
        seconds = seconds_before + time.perf_counter() - started
        state = {"fingerprint": fingerprint, "batches_done": batches_done, "seconds": seconds}
        state["checksums"] = checksums if has_marks else {}
        seal(folder / _STATE, state, None)

    with progress.track("teacher signals", total, already) as update, guard_storage(folder):
        for number in range(done, len(batches)):
            batch_rows = batches[number]
            for name, values in _arrays(teacher.signal(make_batch(batch_rows), needs)).items():
                if name not in arrays:
                    arrays[name] = _open(folder / f"{name}.npy", (rows, values.shape[-1]))
                arrays[name][batch_rows] = values
                checksums[name] = checksum(values, checksums.get(name, 0))
            if (number + 1) % _SAVE_EVERY_BATCHES == 0:
                save(number + 1)
            update(len(batch_rows))
    if done < len(batches):
        save(len(batches))
    return open_signals(folder, needs)


def open_signals(folder: Path, needs: Needs) -> StoredTeacher:
    """Open the signals that `store_signals` wrote into `folder`."""
    names = [*(["logits"] if needs.logits else []), *(f"first-{layer}" for layer in needs.teacher_first)]
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    seconds = json.loads((folder / _STATE).read_text(encoding="utf-8"))["seconds"]
    return StoredTeacher(arrays, float(seconds))


def _arrays(signal: Signal) -> dict[str, NDArray[np.float32]]:
    values = {f"{tap.site}-{tap.layer}": state for tap, state in signal.get("states", {}).items()}
    if "logits" in signal:
        values["logits"] = signal["logits"]
    return {name: np.ascontiguousarray(value.float().cpu().numpy()) for name, value in values.items()}


def _open(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    mode = "r+" if path.exists() else "w+"
    array: NDArray[np.float32] = np.lib.format.open_memmap(path, mode=mode, dtype=np.float32, shape=shape)
    return array


def _state(state_file: Path, fingerprint: str) -> tuple[int, float, dict[str, int]]:
    """Batches done, seconds taken, and checksums of each array; nothing for a folder of another fingerprint."""
    try:
        state = open_seal(state_file, None)
    except Damage:  # or not there yet
        return 0, 0.0, {}
    if state.get("fingerprint") != fingerprint:
        return 0, 0.0, {}
    return int(state["batches_done"]), float(state["seconds"]), dict(state.get("checksums", {}))


def _damage(folder: Path, rows: int, batches: Sequence[NDArray[np.int64]], checksums: dict[str, int]) -> str | None:
    """Say which array does not hold what was computed for `batches`. Checksums go from batch to batch."""
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
