"""Statistics: how rows add up to a figure, for the held-out set and for thousands of bootstrap samples.

Nearly every metric is a function of sums over rows: a mean, counts of true and false positives, the moments of a
correlation. Its rows are counted once, as columns; a sample is then a weighted sum of them, and all metrics of all
systems are measured on the same samples with one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Statistic", "mean_of", "pooled", "ratio_of", "sample"]

_INDICES_AT_ONCE = 1_000_000
"""Bounds the memory of large held-out sets."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Statistic:
    """A figure of some held-out rows and of their bootstrap samples."""

    rows: int
    """N. Statistics with the same N are measured on the same samples, so they are paired row by row."""
    figure: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    """Maps the sums of `columns_NM` over each sample, ``[R, M]``, to the figure of each sample, ``[R]``; NaN where
    undefined. Without columns it maps how often each row is in each sample, ``[R, N]``."""
    columns_NM: Any = None
    """The contribution of each row, as an array or a sparse matrix; finite."""
    right_N: NDArray[np.bool_] | None = None
    """Whether each row is right, if the figure is the share of right rows: for McNemar's test."""
    without_weight: int = 0
    """Rows that are drawn but do not count."""

    @property
    def counted(self) -> int:
        """Return the number of rows that count."""
        return self.rows - self.without_weight


def ratio_of(values_N: ArrayLike, weights_N: ArrayLike, *, right_N: NDArray[np.bool_] | None = None) -> Statistic:
    """Return ``sum of values / sum of weights`` over rows; rows without weight are ignored."""
    weights = np.asarray(weights_N, dtype=np.float64)
    columns = np.column_stack([np.where(weights > 0, values_N, 0.0), weights])
    return Statistic(len(columns), _ratio, columns, right_N, int((weights == 0).sum()))


def mean_of(values_N: ArrayLike, *, right_N: NDArray[np.bool_] | None = None) -> Statistic:
    """Return the mean over rows."""
    values = np.asarray(values_N, dtype=np.float64)
    return ratio_of(values, np.ones(len(values)), right_N=right_N)


def _ratio(sums_R2: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: NDArray[np.float64] = sums_R2[:, 0] / sums_R2[:, 1]
    return ratio


def pooled(statistics: Sequence[Statistic]) -> Statistic:
    """Pool statistics of several seeds over the same rows: their columns are added."""
    first, *others = statistics
    columns = first.columns_NM
    for other in others:
        columns = columns + other.columns_NM
    return replace(first, columns_NM=columns, right_N=None)


def sample(
    statistics: Mapping[Key, Statistic], *, resamples: int, rng: Callable[[], np.random.Generator]
) -> dict[Key, NDArray[np.float64]]:
    """Return each statistic on the rows themselves, then on bootstrap samples of them, ``[1 + resamples]``.

    Reference: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Args:
        statistics: what to measure.
        resamples: number of samples.
        rng: returns a generator in the same state each time. The samples depend only on it and on the number of rows.
    """
    found: dict[Key, NDArray[np.float64]] = {}
    for rows in dict.fromkeys(statistic.rows for statistic in statistics.values()):
        group = {key: statistic for key, statistic in statistics.items() if statistic.rows == rows}
        parts = [_figures(group, counts_RN) for counts_RN in _samples(rows, resamples, rng())]
        found |= {key: np.concatenate([part[key] for part in parts]) for key in group}
    return found


def _samples(rows: int, resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Yield how often each row is in each sample, ``[R, N]``: once in the first, which is the rows themselves."""
    yield np.ones((1, rows))
    at_once = max(1, _INDICES_AT_ONCE // max(1, rows))
    for start in range(0, resamples, at_once):
        samples = min(at_once, resamples - start)
        cells = rng.integers(0, rows, (samples, rows)) + rows * np.arange(samples)[:, None]
        yield np.bincount(cells.ravel(), minlength=samples * rows).reshape(samples, rows).astype(np.float64)


def _figures(group: Mapping[Key, Statistic], counts_RN: NDArray[np.float64]) -> dict[Key, NDArray[np.float64]]:
    """Return the figures of all statistics; shared columns are summed once, dense ones in one product."""
    distinct = {id(s.columns_NM): s.columns_NM for s in group.values() if s.columns_NM is not None}
    dense = {name: columns for name, columns in distinct.items() if isinstance(columns, np.ndarray)}
    sums = {name: counts_RN @ columns for name, columns in distinct.items() if name not in dense}
    if dense:
        ends = np.cumsum([columns.shape[1] for columns in dense.values()])
        product = counts_RN @ np.hstack(list(dense.values()))
        sums |= dict(zip(dense, np.split(product, ends[:-1], axis=1), strict=True))
    sums[id(None)] = counts_RN
    return {key: s.figure(sums[id(s.columns_NM)]) for key, s in group.items()}
