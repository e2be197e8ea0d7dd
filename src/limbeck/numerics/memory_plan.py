"""Memory of a training step as arithmetic: items, their sum, and the bytes of weights and optimiser.

GB are 1e9 bytes throughout.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from limbeck.formatting import bytes_text

__all__ = [
    "NF4_BITS",
    "MemoryItem",
    "adamw_bytes",
    "parse_size",
    "readable",
    "total_bytes",
    "weights_bytes",
]

NF4_BITS = 4 + 8 / 64 + 32 / (64 * 256)
"""Bits per weight: a code, one 8-bit constant for 64 weights, one float32 constant for 256 of those (4.126953)."""

_UNITS = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30}


@dataclass(frozen=True)
class MemoryItem:
    """One part of a device's peak memory."""

    name: str
    bytes: float
    how: str = ""
    """How the number is calculated, for the reader of a plan."""


def total_bytes(items: Iterable[MemoryItem]) -> float:
    """Return the sum of the items."""
    return sum(item.bytes for item in items)


def weights_bytes(*, linear: int, other: int, bytes_each: float, nf4: bool = False) -> float:
    """Return the bytes of frozen weights: linear maps, in 4 bits with `nf4`, and all others.

    >>> weights_bytes(linear=6_476_005_376, other=262_410_240, bytes_each=2, nf4=True) / 1e9  # LLaMA-2 7B
    3.8655989...
    """
    return linear * (NF4_BITS / 8 if nf4 else bytes_each) + other * bytes_each


def adamw_bytes(trainable: int, *, bytes_each: float = 4) -> float:
    """Return the bytes of AdamW's two moments, each with the precision of the trained parameters."""
    return 2 * bytes_each * trainable


def parse_size(text: str) -> float:
    """Return the bytes of a size such as ``8GB`` (1e9 bytes) or ``8GiB`` (2**30 bytes).

    Raises:
        ValueError: not a number with a unit.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*", text)
    if not found or found[2].lower() not in _UNITS or float(found[1]) <= 0:
        raise ValueError(f"expected a size such as 8GB or 512MB, not '{text}'")
    return float(found[1]) * _UNITS[found[2].lower()]


def readable(size: float) -> str:
    """Format bytes for people: ``1.49 GB``, ``62 MB``, ``1.4 MB``, ``12.3 kB``.

    >>> readable(1.488e9), readable(62e6), readable(1.4e6), readable(12_345)
    ('1.49 GB', '62 MB', '1.4 MB', '12.3 kB')
    """
    if 0 < size < 5e4:
        return bytes_text(round(size))
    if size >= 1e9:
        return f"{size / 1e9:.2f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"
