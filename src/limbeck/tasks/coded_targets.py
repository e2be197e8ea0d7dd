"""Encoded rows with several targets, for regression and multi-label classification."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.encode import encode_rows
from limbeck.data.targets.batches import TargetBatches
from limbeck.data.targets.rows import TargetRows
from limbeck.evaluation.predict import predict_logits
from limbeck.models.padding import Padding
from limbeck.types import Update

__all__ = ["CodedTargets", "coded_targets"]


@dataclass(frozen=True)
class CodedTargets(TargetBatches):
    """Texts encoded for one model."""

    in_units: Callable[[Any, NDArray[np.float32]], NDArray[np.float32]] = lambda model, outputs: outputs
    """Converts a model's outputs to the user's units."""

    def answers_in(self, sequences: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows unchanged: each is one sequence with one answer."""
        return sequences

    def predict(
        self, model: Any, sequences: NDArray[np.int64] | None = None, update: Update | None = None
    ) -> NDArray[np.float32]:
        """Return a model's outputs for some rows, or all, ``[N, C]``, in the user's units."""
        return self.in_units(model, predict_logits(model, self.inputs, sequences, update=update))


def coded_targets(
    rows: TargetRows[Any],
    targets_NC: NDArray[np.float64],
    tokenizer: Any,
    max_length: int,
    padding: Padding,
    **options: Any,
) -> CodedTargets:
    """Tokenise rows; longer ones are cut, as one answer is for the whole text."""
    return CodedTargets(encode_rows(rows.rows, tokenizer, max_length, padding), targets_NC, **options)
