"""The importance of the teacher's units on a run's rows, for a pruned student: measured once, and kept."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.losses.objective import Objective
from limbeck.losses.readout import Readout
from limbeck.losses.term import bind_terms
from limbeck.models.layers import shapes
from limbeck.models.load import weights_fingerprint
from limbeck.ranks import device
from limbeck.recipes.catalogue import build_recipe
from limbeck.students.pruning.importance import Importance, measure_importance
from limbeck.tasks.kept import kept
from limbeck.types import Batch, Progress

__all__ = ["IMPORTANCE_FILE", "importance_on", "kept_importance"]

IMPORTANCE_FILE = "importance.npz"
_BATCH_ROWS = 8
"""As in the released code of MiniMA; the absolute value is taken of each batch."""
_TITLE = "importance of the teacher's units"


def importance_on(
    model: Any,
    rows: NDArray[np.int64],
    count: int,
    make_batch: Callable[[NDArray[np.int64]], Batch],
    *,
    kind: str,
    readout: Readout,
    progress: Progress,
) -> Importance:
    """Return the importance of a teacher's units to its loss on gold labels.

    Args:
        model: the teacher, trained. It is left as it is, on the run's device.
        rows: training rows with labels.
        count: how many of them are read, drawn at random, the same in every run.
        make_batch: builds the batch of some rows.
        kind: of task.
        readout: of the teacher.
        progress: shows a bar.
    """
    model.to(device())
    stage = build_recipe("fine_tune", {}, kind).stages[0]
    objective = Objective(model, bind_terms(stage.terms, shapes(model, model)), readout)
    picked = np.random.default_rng(0).permutation(rows)[:count]

    def loss(_model: Any, batch: Batch) -> Any:
        return objective(batch, objective.count([batch]))[0]

    with progress.track(_TITLE, len(picked)) as update:

        def batches() -> Iterator[Batch]:
            for start in range(0, len(picked), _BATCH_ROWS):
                part = picked[start : start + _BATCH_ROWS]
                yield _on_device(make_batch(part))
                update(len(part))

        return measure_importance(model, batches(), loss)


def kept_importance(
    folder: Path, model: Any, rows_mark: str, measure: Callable[[], Importance], progress: Progress
) -> Importance:
    """Return what `measure` returns, from the run folder if it was measured for the same weights and rows.

    Args:
        folder: of the run.
        model: the teacher.
        rows_mark: fingerprint of the rows as the teacher reads them, and how many are read.
        measure: measures it.
        progress: reports a file that is damaged or of other weights.
    """
    mark = f"{weights_fingerprint(model)} {rows_mark}"

    def content() -> bytes:
        found, buffer = measure(), io.BytesIO()
        arrays = {name: part.numpy() for name, part in vars(found).items()}
        np.savez(buffer, mark=np.array(mark), **arrays)
        return buffer.getvalue()

    return kept(folder, IMPORTANCE_FILE, make=content, read=lambda path: _read(path, mark), progress=progress)


def _read(path: Path, mark: str) -> Importance:
    import torch

    with np.load(path) as arrays:
        if str(arrays["mark"]) != mark:
            raise ValueError("it was measured with other weights or rows")
        names = ("hidden_D", "groups_LG", "neurons_LF")
        return Importance(*(torch.from_numpy(arrays[name]) for name in names))


def _on_device(values: Any) -> Any:
    """Return a batch with its tensors on the run's device."""
    if isinstance(values, dict):
        return {name: _on_device(value) for name, value in values.items()}
    return values.to(device()) if hasattr(values, "to") else values
