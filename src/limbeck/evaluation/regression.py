"""How near are predicted numbers to the right ones, and do they put rows in the same order?

Values are ``[..., N]``, rows last: the bootstrap asks for thousands of samples at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["mean_squared_error", "pearson", "spearman"]

Values = NDArray[np.float64]


def mean_squared_error(gold: Values, predicted: Values) -> Values:
    """Return the mean of ``(predicted - gold)**2``, in the square of the user's unit, ``[..., N] -> [...]``."""
    error: Values = ((predicted - gold) ** 2).mean(axis=-1)
    return error


def pearson(gold: Values, predicted: Values) -> Values:
    """Return Pearson's correlation, ``[..., N] -> [...]``; 0 where all values of one side are equal.

    It is not defined there (scipy gives NaN): a constant says nothing about which row is more.
    """
    first, second = (side - side.mean(axis=-1, keepdims=True) for side in (gold, predicted))
    # A constant's deviations are the rounding of its mean.
    first, second = (
        np.where(np.ptp(side, axis=-1, keepdims=True) > 0, deviation, 0.0)
        for side, deviation in ((gold, first), (predicted, second))
    )
    norm = np.sqrt((first**2).sum(axis=-1)) * np.sqrt((second**2).sum(axis=-1))
    product = (first * second).sum(axis=-1)
    correlation: Values = np.clip(np.divide(product, norm, out=np.zeros_like(norm), where=norm > 0), -1.0, 1.0)
    return correlation


def spearman(gold: Values, predicted: Values) -> Values:
    """Return Spearman's rank correlation, ``[..., N] -> [...]``: Pearson's of the ranks, ties at their mean rank."""
    from scipy.stats import rankdata

    return pearson(rankdata(gold, axis=-1), rankdata(predicted, axis=-1))
