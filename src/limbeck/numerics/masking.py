"""Positions that count, taken from masks and never from token ids."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["first_token"]


def first_token(hidden_BTD: Tensor, attention_mask_BT: Tensor) -> Tensor:
    """Return the state of each row's first real token ([CLS]), ``[B, D]``, with padding on either side."""
    first_B = attention_mask_BT.to(torch.uint8).argmax(dim=1)
    return hidden_BTD[torch.arange(len(first_B), device=first_B.device), first_B]
