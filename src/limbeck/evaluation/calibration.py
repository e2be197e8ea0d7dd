"""Calibration: whether a student that is 80 % sure is right 80 % of the time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limbeck.results.sections import ReliabilityBin

__all__ = ["bin_columns", "calibration_error", "expected_calibration_error", "reliability_bins"]

_BINS = 15


def reliability_bins(probs: NDArray[np.float64], gold: NDArray[np.int64], bins: int = _BINS) -> list[ReliabilityBin]:
    """Group rows by confidence into `bins` equal intervals (low, high]; empty ones are left out.

    Reference: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599, section 2.
    """
    confidence, right, number = _binned(probs, gold, bins)
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


def bin_columns(probs: NDArray[np.float64], gold: NDArray[np.int64], bins: int = _BINS) -> NDArray[np.float64]:
    """Return each row's contribution to the bins of `reliability_bins`, ``[N, 2 bins]``: rows, right minus confidence.

    Their sums over any rows give `calibration_error`.
    """
    confidence, right, number = _binned(probs, gold, bins)
    columns = np.zeros((len(gold), 2 * bins))
    columns[np.arange(len(gold)), number] = 1
    columns[np.arange(len(gold)), bins + number] = right - confidence
    return columns


def calibration_error(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the expected calibration error from sums of `bin_columns`, ``[..., 2 bins] -> [...]``."""
    rows, gaps = np.split(sums, 2, axis=-1)
    error: NDArray[np.float64] = np.abs(gaps).sum(-1) / rows.sum(-1)
    return error


def _binned(
    probs: NDArray[np.float64], gold: NDArray[np.int64], bins: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Return each row's confidence, whether it is right, and the index of its bin."""
    confidence = probs.max(axis=-1)
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return confidence, probs.argmax(axis=-1) == gold, number
