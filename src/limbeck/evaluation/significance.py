"""Tests of whether a difference could be chance.

Two sources of chance are kept apart: the choice of held-out rows (bootstrap and McNemar, over rows) and the
training seed (the t-test, over seeds).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.results.figures import Test

__all__ = [
    "PairedT",
    "bootstrap_p_value",
    "holm",
    "mcnemar",
    "paired_t",
    "paired_t_test",
    "resample",
    "share_p_value",
]

_RESAMPLES = 2000
_ROUNDING = 1e-12
"""Differences closer than this are equal."""
_INDICES_AT_ONCE = 1_000_000
"""Bounds the memory of large held-out sets."""

Statistic = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""A figure of the rows at the given indices (with repetition): ``[..., n] -> [...]``."""


def resample(statistic: Statistic, rows: int, *, resamples: int | None = None, seed: int = 0) -> NDArray[np.float64]:
    """Return `statistic` of `resamples` (2000) bootstrap samples of ``rows`` row indices.

    The samples depend only on `rows` and `seed`, so figures of two systems are paired row by row.
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


def bootstrap_p_value(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of "no difference" from resampled differences.

    Twice the smaller share of resamples on either side of 0, with one added to numerator and
    denominator: never 0, since `resamples` draws cannot show less than about 2/resamples. Differences
    from 0 by rounding alone count on both sides.
    """
    n = len(differences)
    below, above = (differences <= _ROUNDING).sum(), (differences >= -_ROUNDING).sum()
    return float(min(1.0, 2 * (min(below, above) + 1) / (n + 1)))


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_], seed: int) -> Test:
    """Return McNemar's exact test on the rows that only one of two systems has right.

    Reference: McNemar 1947; exact binomial form, Dietterich 1998, section 3.1.
    """
    from scipy.stats import binomtest

    only_first = int((first_right & ~second_right).sum())
    only_second = int((~first_right & second_right).sum())
    discordant = only_first + only_second
    p_value = float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0
    details = {"only_first_right": float(only_first), "only_second_right": float(only_second)}
    return Test(name="mcnemar", seed=seed, p_value=p_value, details=details)


def paired_t_test(differences: Sequence[float]) -> float | None:
    """Return the two-sided p-value of a mean of 0 over seeds, or ``None`` with fewer than three seeds or no spread."""
    from scipy.stats import ttest_1samp

    if len(differences) < 3 or np.ptp(differences) < _ROUNDING:
        return None
    return float(ttest_1samp(differences, 0.0).pvalue)


class PairedT(NamedTuple):
    """A paired t-test of a mean difference of 0, two-sided."""

    mean: float
    sd: float
    """Sample standard deviation (n - 1)."""
    t: float
    degrees_of_freedom: int
    p_value: float
    low: float
    high: float
    """Bounds of the mean's 95 % interval."""


def paired_t(differences: Sequence[float]) -> PairedT | None:
    """Return the paired t-test with the interval of the mean, or ``None`` if `paired_t_test` has none.

    Without spread the test is undefined: t would be infinite and p 0, with no evidence about the spread.
    """
    from scipy.stats import ttest_1samp

    if paired_t_test(differences) is None:
        return None
    test = ttest_1samp(differences, 0.0)
    low, high = test.confidence_interval(0.95)
    return PairedT(
        mean=float(np.mean(differences)),
        sd=float(np.std(differences, ddof=1)),
        t=float(test.statistic),
        degrees_of_freedom=len(differences) - 1,
        p_value=float(test.pvalue),
        low=float(low),
        high=float(high),
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for testing all of them, in the same order; ``None`` is a test that was not made.

    The i-th smallest of m is multiplied by m - i + 1, and is at least the one before.

    Reference: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.

    Example:
        >>> holm([0.01, None, 0.04])
        [0.02, None, 0.04]
    """
    made = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(made):
        largest = max(largest, min(1.0, (len(made) - rank) * p))
        corrected[index] = largest
    return corrected


def share_p_value(differences: NDArray[np.float64]) -> float:
    """Return ``min(1, 2 min(P(D <= 0), P(D >= 0)))`` over resampled differences D.

    Unlike `bootstrap_p_value`, nothing is added: exact where `differences` are all possible resamples,
    and 0 (that is, less than 2 / resamples) if all lie on one side.
    """
    below, above = (differences <= _ROUNDING).mean(), (differences >= -_ROUNDING).mean()
    return float(min(1.0, 2 * min(below, above)))
