"""The importance of a classifying teacher's units: what their loss would do to its labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.encode import Encoded
from limbeck.losses.readout import ClassReadout
from limbeck.models.taps import run_model
from limbeck.ranks import device
from limbeck.students.pruning.importance import Importance
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.importance import importance_on
from limbeck.types import UNLABELLED, Batch, Progress

__all__ = ["classifier_importance"]


def classifier_importance(
    config: RunConfig, teacher: Any, train: Encoded, labels: NDArray[np.int64], progress: Progress
) -> Importance:
    """Return the importance of each unit to the cross-entropy on training rows.

    Rows without a gold label have the label that the teacher gives them.

    Args:
        config: of the run; its student is pruned.
        teacher: trained.
        train: training rows as the teacher reads them.
        labels: their gold labels.
        progress: shows a bar.
    """
    import torch

    assert config.student.pruned is not None
    rows = np.arange(len(labels))

    def make_batch(picked: NDArray[np.int64]) -> Batch:
        inputs, gold_B = train.batch(picked), torch.from_numpy(labels[picked])
        if (gold_B == UNLABELLED).any():
            on_device = {name: tensor.to(device()) for name, tensor in inputs.items()}
            with torch.no_grad():
                given_B = run_model(teacher, on_device)["logits"].argmax(dim=-1).cpu()
            gold_B = torch.where(gold_B == UNLABELLED, given_B, gold_B)
        return {"student": inputs, "labels_B": gold_B, "rows_B": torch.from_numpy(picked)}

    return importance_on(
        teacher, rows, config.student.pruned.rows, make_batch,
        kind=config.task.kind, readout=ClassReadout(), progress=progress,
    )  # fmt: skip
