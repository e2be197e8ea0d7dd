"""The one division of a training step.

Terms give one value per row or token. A step may be split into micro-batches and over ranks, so a mean of
micro-batch means would weigh them unequally. Instead, each term's rows or tokens are counted over the
*whole* optimiser step before the first forward pass, and every micro-batch contributes
``sum / count``. The gradient is then the same for every split (docs/conventions.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Reduction", "count", "masked_sum", "share_of_mean", "token_weights"]

Reduction = Literal["token", "sequence", "sum_per_sequence"]
"""``token``: mean over all tokens of a step. ``sequence``: mean over rows of each row's mean over tokens (GKD).
``sum_per_sequence``: mean over rows of each row's sum (losses of whole sequences)."""


def count(masks: Iterable[Tensor], reduction: Reduction = "token") -> Tensor:
    """Return the divisor of the step's sum, a float32 scalar: the number of tokens, or of rows that have any.

    Args:
        masks: rows or tokens that count in each micro-batch, bool ``[B]`` or ``[B, T]``.
        reduction: how tokens are averaged.
    """
    counted = (mask if reduction == "token" else mask.any(dim=1) for mask in masks)
    return torch.stack([each.sum() for each in counted]).sum().float()


def token_weights(mask_BT: Tensor, reduction: Reduction) -> Tensor:
    """Return each token's weight in the step's sum, float32; 0 where it does not count."""
    weights_BT = mask_BT.float()
    if reduction == "sequence":
        weights_BT = weights_BT / mask_BT.sum(dim=1, keepdim=True).clamp(min=1)
    return weights_BT


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Return the sum of the values that count: 0 with zero gradient if nothing counts, never NaN."""
    return values.masked_fill(~mask, 0.0).sum()


def share_of_mean(values: Tensor, mask: Tensor, reduction: Reduction, count: Tensor) -> Tensor:
    """Return a micro-batch's contribution to the mean of a step with `count` rows or tokens."""
    if reduction != "token":
        values = values.masked_fill(~mask, 0.0) * token_weights(mask, reduction)
    total = masked_sum(values, mask)
    return total / count.to(total).clamp(min=1)
