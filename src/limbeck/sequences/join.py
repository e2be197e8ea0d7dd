"""Put the rows of two micro-batches of token sequences into one."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.types import UNLABELLED, Batch

__all__ = ["join_batches"]

_FILL: dict[str, float] = {"labels_BT": UNLABELLED}
"""Padding values of shorter rows; all other fields are padded with 0, which no mask counts."""


def join_batches(first: Batch, second: Batch) -> Batch:
    """Return the rows of `first`, then those of `second`, padded on the right to one length.

    A field that only one of them has is 0 in the rows of the other. Signals are not joined: the teacher is run
    on the joined rows.
    """
    joined: dict[str, object] = {}
    for name in first.keys() | second.keys():
        if name == "student":
            inputs = first["student"].keys()
            joined[name] = {key: _stack(first["student"][key], second["student"][key], 0) for key in inputs}
        elif name != "signal":
            one, two = first.get(name), second.get(name)
            assert isinstance(one, Tensor) or isinstance(two, Tensor)
            one = one if isinstance(one, Tensor) else _zeros(two, first)  # type: ignore[arg-type]
            two = two if isinstance(two, Tensor) else _zeros(one, second)
            joined[name] = _stack(one, two, _FILL.get(name, 0))
    return joined  # type: ignore[return-value]


def _zeros(like: Tensor, batch: Batch) -> Tensor:
    """Return zeros for all rows of `batch`, or all positions where `like` has positions."""
    return like.new_zeros(batch["labels_BT"].shape[: like.ndim])


def _stack(one: Tensor, two: Tensor, fill: float) -> Tensor:
    if one.ndim == 1:
        return torch.cat([one, two])
    widest = max(one.shape[1], two.shape[1])
    padded = [torch.nn.functional.pad(part, (0, widest - part.shape[1]), value=fill) for part in (one, two)]
    return torch.cat(padded)
