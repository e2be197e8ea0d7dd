"""Held-out rows of a run without test data: some of its training rows, always the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from limbeck.errors import DataError
from limbeck.formatting import share_text

__all__ = ["held_out", "parted"]


def held_out(candidates: Sequence[int], share: float, what: str = "rows") -> list[int]:
    """Return which of the candidates are held out, in random order.

    Args:
        candidates: indices of the rows that may be.
        share: of them.
        what: words for such rows.

    Raises:
        DataError: it would be none, or all of them.
    """
    count = round(share * len(candidates))
    if not 0 < count < len(candidates):
        raise DataError(
            f"cannot hold out {share_text(share, digits=0)} of {len(candidates)} {what} for the report: give "
            "data.test, or more rows"
        )
    chosen: list[int] = np.random.default_rng(0).permutation(candidates)[:count].tolist()
    return chosen


def parted(rows: int, taken: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the indices of the other rows and of the taken ones, each in order."""
    chosen = set(taken)
    return [i for i in range(rows) if i not in chosen], sorted(chosen)
