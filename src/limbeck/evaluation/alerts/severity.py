"""Severity of an article, and the uncertainty of the student."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.alerts.rules import Bands
from limbeck.results.alerts import Band

__all__ = ["band_of", "normalised_entropy", "severity"]


def severity(probs_NC: NDArray[np.float64], severities: Sequence[float]) -> NDArray[np.float64]:
    """Return the expected severity of every article, ``sum_c p_c severity_c``, ``[N]``.

    >>> float(severity(np.array([[0.1, 0.25, 0.65]]), [0, 0.5, 1])[0])
    0.775
    """
    expected: NDArray[np.float64] = probs_NC @ np.asarray(severities, dtype=np.float64)
    return expected


def band_of(value: float, bands: Bands) -> Band:
    """Return the band of a severity; a bound belongs to the upper band."""
    return "high" if value >= bands.high else "medium" if value >= bands.medium else "low"


def normalised_entropy(probs_NC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``-sum_c p_c ln p_c / ln C``, ``[N]``: 0 if a label is certain, 1 if all are equally likely.

    >>> round(float(normalised_entropy(np.array([[0.1, 0.25, 0.65]]))[0]), 3)
    0.78
    """
    logs = np.log(np.where(probs_NC > 0, probs_NC, 1))
    entropy: NDArray[np.float64] = -(probs_NC * logs).sum(-1) / math.log(probs_NC.shape[-1])
    return entropy
