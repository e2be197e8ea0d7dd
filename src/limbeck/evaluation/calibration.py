"""Is a student that is 80 % sure right 80 % of the time?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limbeck.results import ReliabilityBin

__all__ = ["expected_calibration_error", "reliability_bins"]

_BINS = 15


def reliability_bins(probs: NDArray[np.float64], gold: NDArray[np.int64], bins: int = _BINS) -> list[ReliabilityBin]:
    """Return rows by confidence in `bins` equal intervals (low, high]; empty ones are left out.

    Reference: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599, section 2.
    """
    confidence = probs.max(axis=-1)
    right = probs.argmax(axis=-1) == gold
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return [
        ReliabilityBin(
            low=b / bins,
            high=(b + 1) / bins,
            rows=int((number == b).sum()),
            mean_confidence=float(confidence[number == b].mean()),
            accuracy=float(right[number == b].mean()),
        )
        for b in range(bins)
        if (number == b).any()
    ]


def expected_calibration_error(bins: list[ReliabilityBin]) -> float:
    """Return ``sum_b rows_b / n |accuracy_b - mean_confidence_b|`` (Guo et al. 2017, equation 3)."""
    total = sum(b.rows for b in bins)
    return float(sum(b.rows / total * abs(b.accuracy - b.mean_confidence) for b in bins))
