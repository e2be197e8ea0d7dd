"""What does a model say about rows?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.data.candidates import EncodedRecords
from limbeck.data.encode import Encoded
from limbeck.models.layers import run_model
from limbeck.types import Advance

__all__ = ["length_sorted_batches", "predict_logits", "predict_scores", "softmax"]


def length_sorted_batches(lengths: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Yield row numbers, each row once, rows of like length together, longest first (memory shows at once)."""
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


@torch.no_grad()
def predict_logits(
    model: Any, encoded: Encoded, *, batch_size: int = 64, advance: Advance | None = None
) -> NDArray[np.float32]:
    """Return class logits ``[N, C]`` of all rows, in their order; the model is left in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    logits = np.empty((len(encoded.lengths), model.config.num_labels), dtype=np.float32)
    for rows in length_sorted_batches(encoded.lengths, batch_size):
        inputs = {name: tensor.to(device) for name, tensor in encoded.batch(rows).items()}
        logits[rows] = run_model(model, inputs)["logits_BC"].float().cpu().numpy()
        if advance is not None:
            advance(len(rows))
    return logits


@torch.no_grad()
def predict_scores(
    scorer: Any, encoded: EncodedRecords, *, batch_size: int = 32, advance: Advance | None = None
) -> NDArray[np.float32]:
    """Return the scores ``[N, K]`` of all records' candidates, ``-inf`` where a record has fewer than K.

    The scorer is left in evaluation mode.
    """
    scorer.eval()
    device = next(scorer.parameters()).device
    scores = np.empty((len(encoded.records), encoded.candidates), dtype=np.float32)
    for rows in length_sorted_batches(encoded.lengths, batch_size):
        inputs = {name: tensor.to(device) for name, tensor in encoded.batch(rows).items()}
        scores[rows] = run_model(scorer, inputs)["logits_BC"].float().cpu().numpy()
        if advance is not None:
            advance(len(rows))
    return scores


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return probabilities ``[N, C]`` in float64."""
    from scipy.special import softmax as scipy_softmax

    probs: NDArray[np.float64] = scipy_softmax(logits.astype(np.float64), axis=-1)
    return probs
