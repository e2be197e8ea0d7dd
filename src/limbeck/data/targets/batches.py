"""Batches of rows with several targets, as a model reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.data.encode import Encoded
from limbeck.types import Batch

__all__ = ["TargetBatches"]


@dataclass(frozen=True)
class TargetBatches:
    """Texts with their targets."""

    inputs: Encoded
    targets_NC: NDArray[np.float64]
    """The targets to learn: NaN in rows without any."""

    @property
    def row_of(self) -> NDArray[np.int64]:
        """Each sequence is a row."""
        return np.arange(len(self.targets_NC))

    def batch(self, rows: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Return the batch of some rows."""
        picked = np.asarray(rows)
        return {
            "student": self.inputs.batch(picked),
            "targets_BC": torch.from_numpy(self.targets_NC[picked].astype(np.float32)),
            "rows_B": torch.from_numpy(picked),
        }
