"""Batches on the device of this process, outside the training loop."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from limbeck.ranks import device

__all__ = ["on_device"]


def on_device(value: Any) -> Any:
    """Return a batch, or a part of one, with its tensors on this process's device."""
    if isinstance(value, dict):
        return {name: on_device(part) for name, part in value.items()}
    return value.to(device()) if isinstance(value, Tensor) else value
