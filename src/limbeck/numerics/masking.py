"""Positions that count, taken from masks and never from token ids."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.types import UNLABELLED, Batch, Needs

__all__ = [
    "first_token",
    "last_token",
    "mean_of_tokens",
    "predicted_positions",
    "read_positions",
    "supervised_positions",
]


def read_positions(batch: Batch) -> Tensor:
    """Return which positions hold a token and not padding, bool ``[B, T]``."""
    return batch["read_BT"] if "read_BT" in batch else batch["student"]["attention_mask"].bool()


def supervised_positions(batch: Batch) -> Tensor:
    """Return which positions predict a token that counts, bool ``[B, T]``."""
    return batch["labels_BT"] != UNLABELLED


def predicted_positions(batch: Batch, needs: Needs) -> Tensor:
    """Return the positions whose distributions are compared, bool ``[B, T]``: supervised ones, or all tokens."""
    return read_positions(batch) if needs.everywhere else supervised_positions(batch)


def first_token(hidden_BTD: Tensor, attention_mask_BT: Tensor) -> Tensor:
    """Return the state of each row's first real token ([CLS]), ``[B, D]``, with padding on either side."""
    first_B = attention_mask_BT.to(torch.uint8).argmax(dim=1)
    return hidden_BTD[torch.arange(len(first_B), device=first_B.device), first_B]


def last_token(hidden_BTD: Tensor, attention_mask_BT: Tensor) -> Tensor:
    """Return the state of each row's last real token, ``[B, D]``, with padding on either side."""
    return first_token(hidden_BTD.flip(1), attention_mask_BT.flip(1))


def mean_of_tokens(hidden_BTD: Tensor, attention_mask_BT: Tensor) -> Tensor:
    """Return the mean state of each row's real tokens, ``[B, D]``; zeros for a row without any.

    Summed in float32 at least: a sum of many half-precision states would lose digits.
    """
    exact = torch.promote_types(hidden_BTD.dtype, torch.float32)
    counted_BT1 = attention_mask_BT.to(hidden_BTD.dtype)[..., None]
    total_BD = (hidden_BTD * counted_BT1).sum(dim=1, dtype=exact)
    return (total_BD / counted_BT1.sum(dim=1, dtype=exact).clamp(min=1)).to(hidden_BTD.dtype)
