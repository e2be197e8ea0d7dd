"""Batches of tagged texts, as a model reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.data.tagging.encode import EncodedUnits
from limbeck.types import UNLABELLED, Batch

__all__ = ["TagBatches"]


@dataclass(frozen=True)
class TagBatches:
    """Windows of texts with the tags of their units."""

    encoded: EncodedUnits
    tags_U: NDArray[np.int64]
    """Place of each unit's gold tag, `UNLABELLED` where it has none."""
    taught_U: NDArray[np.bool_] | None = None
    """For which units there is a teacher's answer; ``None``: all."""

    def batch(self, windows: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Return the batch of some windows."""
        inputs = self.encoded.windows.batch(windows)
        row_S, token_S, unit_S = self.encoded.places(windows)
        labels_BT = np.full(inputs["input_ids"].shape, UNLABELLED, dtype=np.int64)
        labels_BT[row_S, token_S] = self.tags_U[unit_S]
        words_BT = np.zeros(labels_BT.shape, dtype=np.bool_)
        words_BT[row_S, token_S] = True if self.taught_U is None else self.taught_U[unit_S]
        return {
            "student": inputs,
            "labels_BT": torch.from_numpy(labels_BT),
            "words_BT": torch.from_numpy(words_BT),
            "rows_B": torch.from_numpy(np.asarray(windows)),
        }
