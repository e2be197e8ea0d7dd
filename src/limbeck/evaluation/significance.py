"""Could a difference be chance?

Two sources of chance are kept apart: which rows happened to be held out (bootstrap and McNemar, over
rows) and which seed a training had (the t-test, over seeds).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from limbeck.results import Interval, McNemar

__all__ = ["bootstrap_interval", "bootstrap_p_value", "mcnemar", "paired_t_test", "resample"]

_RESAMPLES = 2000
_ROUNDING = 1e-12
"""Differences closer than this are equal."""
_INDICES_AT_ONCE = 1_000_000
"""Bounds the memory of large held-out sets."""

Statistic = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""A figure of the rows at the given indices (with repetition): ``[..., n] -> [...]``."""


def resample(statistic: Statistic, rows: int, *, resamples: int | None = None, seed: int = 0) -> NDArray[np.float64]:
    """Return `statistic` of `resamples` (2000) bootstrap samples of ``rows`` row numbers.

    The samples depend on `rows` and `seed` alone, so figures of two systems are paired row by row.
    Reference: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile).
    """
    rng = np.random.default_rng(seed)
    left = resamples or _RESAMPLES
    at_once = max(1, _INDICES_AT_ONCE // rows)
    parts = []
    while left > 0:
        parts.append(statistic(rng.integers(0, rows, (min(left, at_once), rows))))
        left -= at_once
    return np.concatenate(parts)


def bootstrap_interval(statistic: Statistic, rows: int) -> Interval:
    """Return the statistic of all rows with its 95 % percentile interval."""
    low, high = np.quantile(resample(statistic, rows), [0.025, 0.975])
    return Interval(value=float(statistic(np.arange(rows))), low=float(low), high=float(high))


def bootstrap_p_value(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of "no difference" from resampled differences.

    Twice the smaller share of resamples on either side of 0, with one added to numerator and
    denominator: never 0, since `resamples` draws cannot show less than about 2/resamples.
    """
    n = len(differences)
    below, above = (differences <= 0).sum(), (differences >= 0).sum()
    return float(min(1.0, 2 * (min(below, above) + 1) / (n + 1)))


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_], seed: int) -> McNemar:
    """Return McNemar's exact test on the rows that only one of two systems has right.

    Reference: McNemar 1947; exact binomial form, Dietterich 1998, section 3.1.
    """
    from scipy.stats import binomtest

    only_first = int((first_right & ~second_right).sum())
    only_second = int((~first_right & second_right).sum())
    discordant = only_first + only_second
    p_value = float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0
    return McNemar(seed=seed, only_first_right=only_first, only_second_right=only_second, p_value=p_value)


def paired_t_test(differences: Sequence[float]) -> float | None:
    """Return the two-sided p-value of a mean of 0 over seeds, or ``None`` with fewer than three seeds or no spread."""
    from scipy.stats import ttest_1samp

    if len(differences) < 3 or np.ptp(differences) < _ROUNDING:
        return None
    return float(ttest_1samp(differences, 0.0).pvalue)
