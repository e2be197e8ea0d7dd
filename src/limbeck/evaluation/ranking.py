"""How high is the right candidate ranked?

Scores are ``[N, K]``, ``-inf`` where a record has fewer candidates. Ties are never broken by position: a
constant scorer must not look good because the right candidate happens to come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from limbeck.errors import DataError

__all__ = ["accuracy_credit", "gold_ranks", "margin_scores", "ndcg", "ratio_margin", "reciprocal_rank"]

Scores = NDArray[np.floating[Any]]

_SMALLEST_MEAN_COSINE = 1e-6
"""Neighbours at a right angle or beyond: the ratio keeps the cosine's sign instead of flipping or dividing by 0."""


def accuracy_credit(scores_NK: Scores, golds: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
    """Return each record's share of a right answer, ``[N]``: of n candidates tied at the top, the right ones' share.

    1 or 0 without ties; 1/n where n are tied at the top and one of them is right.

    Args:
        scores_NK: scores of the candidates.
        golds: places of the right candidates of each record, at least one.

    Raises:
        DataError: a record has no right candidate, one out of range, or a score that is not a number.
    """
    gold_NK = _gold_mask(scores_NK, golds)
    top_NK = (scores_NK == scores_NK.max(axis=1, keepdims=True)) & (scores_NK > -np.inf)
    credit: NDArray[np.float64] = (top_NK & gold_NK).sum(axis=1) / np.maximum(top_NK.sum(axis=1), 1)
    return credit


def gold_ranks(scores_NK: Scores, golds: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
    """Return the rank of each record's best right candidate, ``[N]``, counted from 1; ``inf`` where it has no score.

    ``1 + (candidates above) + (other candidates level) / (right ones level + 1)``: the mean rank of the first right
    candidate if ties were broken by lot. With one right candidate, half the ties count.

    Raises:
        DataError: as `accuracy_credit`.
    """
    gold_NK = _gold_mask(scores_NK, golds)
    best_N1 = np.where(gold_NK, scores_NK, -np.inf).max(axis=1, keepdims=True)
    above_N = (scores_NK > best_N1).sum(axis=1)
    level_NK = scores_NK == best_N1
    ties_N = (level_NK & ~gold_NK).sum(axis=1) / ((level_NK & gold_NK).sum(axis=1) + 1)
    return np.where(best_N1[:, 0] > -np.inf, 1.0 + above_N + ties_N, np.inf)


def reciprocal_rank(scores_NK: Scores, golds: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
    """Return ``1 / rank`` of each record's best right candidate, ``[N]``; 0 where it has no score (`gold_ranks`)."""
    return 1.0 / gold_ranks(scores_NK, golds)


def _gold_mask(scores_NK: Scores, golds: Sequence[tuple[int, ...]]) -> NDArray[np.bool_]:
    records, places = scores_NK.shape
    _check(len(golds) == records, f"{records} rows of scores, but right candidates of {len(golds)} records")
    counts = np.array([len(gold) for gold in golds], dtype=np.int64)
    flat = np.array([place for gold in golds for place in gold], dtype=np.int64)
    rows = np.repeat(np.arange(records), counts)
    _check_rows(counts > 0, "has no right candidate; leave unlabelled records out of figures")
    outside = np.zeros(records, dtype=bool)
    outside[rows[(flat < 0) | (flat >= places)]] = True
    _check_rows(~outside, f"names a right candidate outside the {places} places that have scores")
    _check_rows(
        ~np.isnan(scores_NK).any(axis=1), "has a score that is not a number (NaN); the model may have diverged"
    )
    gold_NK = np.zeros(scores_NK.shape, dtype=bool)
    gold_NK[rows, flat] = True
    return gold_NK


def _check_rows(good_N: ArrayLike, fault: str) -> None:
    bad = np.flatnonzero(np.logical_not(good_N))
    _check(not len(bad), f"record {bad[0] if len(bad) else ''} (counted from 0) {fault}; {len(bad)} such records")


def _check(good: bool, fault: str) -> None:
    if not good:
        raise DataError(fault)


def ndcg(grades: NDArray[np.float64], scores: NDArray[np.float64]) -> float | None:
    """Return the normalised discounted cumulative gain of one query's pages, or ``None`` with fewer than two pages.

    Gain is the grade itself, discount ``log2(1 + rank)``; pages of equal score share their gains. A query
    without a relevant page gives 0. This is the official figure of XGLUE's WPR set.

    Reference: Järvelin & Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002; ties as
    McSherry & Najork 2008.

    Args:
        grades: relevance of each page, at least 0.
        scores: the score of each page; higher is ranked first.

    Example:
        >>> round(ndcg(np.array([3.0, 2.0, 0.0, 1.0]), np.array([0.9, 0.2, 0.7, 0.4])), 6)
        0.915893
    """
    from sklearn.metrics import ndcg_score

    if len(grades) < 2:
        return None
    return float(ndcg_score(grades[None], scores[None]))


def margin_scores(
    query_vectors_ND: NDArray[np.floating[Any]], candidate_vectors_MD: NDArray[np.floating[Any]], k: int = 4
) -> NDArray[np.float64]:
    """Return the ratio margin of every query with every candidate, ``[N, M]`` (`ratio_margin` of their cosines).

    Args:
        query_vectors_ND: one vector for each query, of any length above 0.
        candidate_vectors_MD: one vector for each candidate of the pool.
        k: neighbours; fewer where there are fewer.
    """
    return ratio_margin(_unit(query_vectors_ND) @ _unit(candidate_vectors_MD).T, k)


def ratio_margin(cosines_NM: NDArray[np.float64], k: int = 4) -> NDArray[np.float64]:
    """Return ``cos(x, y) / (mean cos(x, its k nearest) / 2 + mean cos(y, its k nearest) / 2)``, ``[N, M]``.

    A candidate that is near to everything (a hub) is near to its neighbours too, and loses its advantage.
    Neighbours of a query are candidates, neighbours of a candidate are queries; the pair itself is not
    left out.

    Reference: Artetxe & Schwenk, "Margin-based Parallel Corpus Mining with Multilingual Sentence
    Embeddings", 2019, arXiv:1811.01136, section 3 (margin "ratio").
    """
    mean = _nearest_mean(cosines_NM, k)[:, None] / 2 + _nearest_mean(cosines_NM.T, k)[None, :] / 2
    margins: NDArray[np.float64] = cosines_NM / np.maximum(mean, _SMALLEST_MEAN_COSINE)
    return margins


def _nearest_mean(cosines: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    k = min(k, cosines.shape[1])
    nearest = np.partition(cosines, -k, axis=1)[:, -k:]
    mean: NDArray[np.float64] = nearest.mean(axis=1)
    return mean


def _unit(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    vectors = vectors.astype(np.float64)
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
