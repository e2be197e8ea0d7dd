"""The importance of a writing teacher's units, by its loss on the rows' completions."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from limbeck.losses.readout import TokenReadout
from limbeck.students.pruning.importance import Importance
from limbeck.tasks.generation.context import Context
from limbeck.tasks.importance import importance_on, kept_importance
from limbeck.types import Batch

__all__ = ["measured_importance", "writer_importance"]


def writer_importance(context: Context) -> Importance | None:
    """Return the importance of the trained teacher's units, kept in the run folder, if the student is pruned."""
    pruned = context.config.student.pruned
    if pruned is None:
        return None
    mark = f"{context.train_for_teacher.fingerprint()} rows={pruned.rows}"
    measure = partial(measured_importance, context)
    return kept_importance(context.folder, context.teacher, mark, measure, context.progress)


def measured_importance(context: Context) -> Importance:
    """Measure the importance of the teacher's units as it is now."""
    import torch

    encoded, pruned = context.train_for_teacher, context.config.student.pruned
    assert pruned is not None

    def make_batch(rows: NDArray[np.int64]) -> Batch:
        batch = encoded.batch(rows)
        batch["rows_B"] = torch.from_numpy(rows)
        batch["source_B"] = torch.zeros(len(rows), dtype=torch.int64)
        return batch

    return importance_on(
        context.teacher, np.flatnonzero(encoded.supervised > 0), pruned.rows, make_batch,
        kind=context.config.recipe.kind, readout=TokenReadout(), progress=context.progress,
    )  # fmt: skip
