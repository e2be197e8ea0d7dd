"""A teacher's signals for fixed rows, computed once and kept on disk.

Rows are joined with their signal by row number, never by position in a batch or by step, so shuffling,
accumulation, epochs and ranks cannot separate them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.teachers.kept_arrays import keep_arrays, seconds_taken
from limbeck.types import Batch, Needs, Progress, Signal, Tap, Teacher

__all__ = ["StoredTeacher", "can_store", "open_signals", "store_signals"]


def can_store(needs: Needs, *, rows: int, classes: int, width: int, limit_bytes: int) -> bool:
    """Whether the signals are of the small kinds (class logits, first-position states) and fit `limit_bytes`."""
    size = 4 * rows * (classes * needs.logits + width * len(needs.teacher_first))
    return not (needs.teacher_hidden or needs.teacher_probes) and size <= limit_bytes


class StoredTeacher:
    """A teacher that serves stored signals by row number. Arrays are mapped, not loaded.

    Args:
        arrays: arrays by kind of signal.
        seconds: time spent computing them.
        states: teacher for hidden states at every position, which are too large to keep.
    """

    def __init__(self, arrays: dict[str, NDArray[np.float32]], seconds: float, states: Teacher | None = None) -> None:
        self._arrays = arrays
        self._states = states
        self.seconds = seconds
        """Seconds spent computing the signals, restarts included."""

    def signal(self, batch: Batch, needs: Needs) -> Signal:
        """Return the stored logits and first-position states of the batch's rows, and other states computed live."""
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

    @property
    def has_logits(self) -> bool:
        """Whether the teacher's logits are among the signals."""
        return "logits" in self._arrays

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
    folder: Path,
    fingerprint: str,
    progress: Progress,
) -> StoredTeacher:
    """Compute the teacher's signals for all rows, or finish or reuse those in `folder`; see `keep_arrays`.

    Args:
        teacher: the teacher, called once per batch.
        needs: kinds of signal to keep.
        batches: row numbers, batch by batch; together every row once.
        make_batch: builds the batch of given rows, on the teacher's device.
        folder: where the arrays are kept, one ``.npy`` file per kind.
        fingerprint: identity of teacher, encoding and rows.
        progress: shows the progress.
    """

    def compute(number: int) -> dict[str, NDArray[np.float32]]:
        return _arrays(teacher.signal(make_batch(batches[number]), needs))

    keep_arrays(compute, batches, folder=folder, fingerprint=fingerprint, title="teacher signals", progress=progress)
    return open_signals(folder, needs)


def open_signals(folder: Path, needs: Needs) -> StoredTeacher:
    """Open the signals that `store_signals` wrote into `folder`."""
    names = [*(["logits"] if needs.logits else []), *(f"first-{layer}" for layer in needs.teacher_first)]
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    return StoredTeacher(arrays, seconds_taken(folder))


def _arrays(signal: Signal) -> dict[str, NDArray[np.float32]]:
    values = {f"{tap.site}-{tap.layer}": state for tap, state in signal.get("states", {}).items()}
    if "logits" in signal:
        values["logits"] = signal["logits"]
    return {name: value.float().cpu().numpy() for name, value in values.items()}
