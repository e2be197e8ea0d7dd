"""Ranking metrics per example: accuracy, reciprocal rank, nDCG, span F1.

Scores are ``[N, K]``, ``-inf`` for missing candidates. Ties are never broken by position: a constant scorer
must not look good because the right candidate happens to come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from limbeck.data.instructions.labels import GRADES, NO_ENTITY
from limbeck.errors import DataError
from limbeck.types import Instruction

__all__ = [
    "example_accuracy",
    "gold_ranks",
    "margin_scores",
    "ndcg",
    "query_ndcg",
    "ratio_margin",
    "reciprocal_rank",
    "span_counts",
]

Scores = NDArray[np.floating[Any]]

_SMALLEST_MEAN_COSINE = 1e-6
"""Neighbours at a right angle or beyond: the ratio keeps the cosine's sign instead of flipping or dividing by 0."""


def example_accuracy(scores_NK: Scores, golds: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
    """Return each record's accuracy, ``[N]``: the share of right candidates among those tied at the top.

    1 or 0 without ties; 1/n where n are tied at the top and one of them is right.

    Args:
        scores_NK: scores of the candidates.
        golds: indices of the right candidates of each record, at least one.

    Raises:
        DataError: a record has no right candidate, one out of range, or a score that is not a number.
    """
    gold_NK = _gold_mask(scores_NK, golds)
    top_NK = (scores_NK == scores_NK.max(axis=1, keepdims=True)) & (scores_NK > -np.inf)
    credit: NDArray[np.float64] = (top_NK & gold_NK).sum(axis=1) / np.maximum(top_NK.sum(axis=1), 1)
    return credit


def gold_ranks(scores_NK: Scores, golds: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
    """Return the rank of each record's best right candidate, ``[N]``, counted from 1; ``inf`` if it has no score.

    ``1 + (candidates above) + (other candidates level) / (right ones level + 1)``: the mean rank of the first right
    candidate with ties broken at random. With one right candidate, half the ties count.

    Raises:
        DataError: as `example_accuracy`.
    """
    gold_NK = _gold_mask(scores_NK, golds)
    best_N1 = np.where(gold_NK, scores_NK, -np.inf).max(axis=1, keepdims=True)
    above_N = (scores_NK > best_N1).sum(axis=1)
    level_NK = scores_NK == best_N1
    ties_N = (level_NK & ~gold_NK).sum(axis=1) / ((level_NK & gold_NK).sum(axis=1) + 1)
    return np.where(best_N1[:, 0] > -np.inf, 1.0 + above_N + ties_N, np.inf)


def reciprocal_rank(scores_NK: Scores, golds: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
    """Return ``1 / rank`` of each record's best right candidate, ``[N]``; 0 if it has no score (`gold_ranks`)."""
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
    _check_rows(~outside, f"names a right candidate outside the {places} that have scores")
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


def ndcg(scores_QK: Scores, grades: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return the normalised discounted cumulative gain of each query's pages, ``[Q]``; NaN with fewer than two pages.

    Gain is the grade itself, discount ``log2(1 + rank)``; pages of equal score share their discounts. A query
    without a relevant page gives 0. This is the official figure of XGLUE's WPR set.

    Reference: Järvelin & Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002; ties as
    McSherry & Najork 2008.

    Args:
        scores_QK: scores of each query's pages; values after its last page are ignored.
        grades: relevance of each page of each query, at least 0.

    Example:
        >>> ndcg(np.array([[0.9, 0.2, 0.7, 0.4]]), [(3.0, 2.0, 0.0, 1.0)]).round(6).tolist()
        [0.915893]
    """
    _check(len(grades) == len(scores_QK), f"{len(scores_QK)} rows of scores, but grades of {len(grades)} queries")
    pages_Q = np.array([len(row) for row in grades], dtype=np.int64)
    width = int(pages_Q.max(initial=0))
    real_QK = np.arange(width) < pages_Q[:, None]
    gains_QK = np.zeros(real_QK.shape)
    gains_QK[real_QK] = [grade for row in grades for grade in row]
    # No page outranks or ties with the padding, as NaN compares with nothing.
    padded_QK = np.where(real_QK, scores_QK[:, :width], np.nan)
    above_QK = (padded_QK[:, None, :] > padded_QK[:, :, None]).sum(axis=2)
    level_QK = np.maximum((padded_QK[:, None, :] == padded_QK[:, :, None]).sum(axis=2), 1)
    # The sum of the first r discounts is at index r.
    sums = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, width + 2)))])
    found_Q = (gains_QK * (sums[np.minimum(above_QK + level_QK, width)] - sums[above_QK]) / level_QK).sum(axis=1)
    best_Q = (-np.sort(-gains_QK, axis=1) * np.diff(sums)).sum(axis=1)
    values: NDArray[np.float64] = np.where(best_Q > 0, found_Q / np.where(best_Q > 0, best_Q, 1), 0.0)
    return np.where(pages_Q >= 2, values, np.nan)


def query_ndcg(scores_NK: Scores, records: Sequence[Instruction]) -> NDArray[np.float64]:
    """Return the `ndcg` of each query of web pages at its first record, ``[N]``; NaN at all other records.

    A record with grades is a query, and its candidates are the pages. If each page is a separate record whose
    candidates name the grades, the records of one `group` are a query, and a page's score is its expected
    grade under ``softmax(scores)``.
    """
    queries: dict[str, list[int]] = {}
    for row, record in enumerate(records):
        if record.grades is not None:
            queries.setdefault(record.id, [row])
        elif record.group is not None and set(record.candidates) == set(GRADES):
            queries.setdefault(record.group, []).append(row)
    values_N = np.full(len(records), np.nan)
    if not queries:
        return values_N
    pages = [_pages_of(scores_NK, [(row, records[row]) for row in rows]) for rows in queries.values()]
    table_QK = np.full((len(pages), max(len(scores) for scores, _ in pages)), -np.inf)
    for place, (scores, _) in enumerate(pages):
        table_QK[place, : len(scores)] = scores
    values_N[[rows[0] for rows in queries.values()]] = ndcg(table_QK, [grades for _, grades in pages])
    return values_N


def _pages_of(
    scores_NK: Scores, query: Sequence[tuple[int, Instruction]]
) -> tuple[NDArray[np.float64], Sequence[float]]:
    """Return scores and grades of one query's pages."""
    row, record = query[0]
    if record.grades is not None:
        return scores_NK[row, : len(record.grades)].astype(np.float64), record.grades
    names = np.array([[GRADES.index(name) for name in record.candidates] for _, record in query], dtype=np.float64)
    logits = scores_NK[[row for row, _ in query], : len(GRADES)].astype(np.float64)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected: NDArray[np.float64] = (weights * names).sum(axis=1) / weights.sum(axis=1)
    return expected, [float(names[place, record.gold[0]]) for place, (_, record) in enumerate(query)]


def span_counts(scores_NK: Scores, records: Sequence[Instruction]) -> NDArray[np.float64]:
    """Return each span record's contribution to a micro F1 over entity types, ``[N, 3]``; NaN at other records.

    The three are: entities with the right type, spans called an entity, entities. ``none`` is not a type. Of n
    types tied at the top each counts 1/n, as in `example_accuracy`. The F1 of these counts is **not** the entity
    F1 of taggers: the spans are given, and only some of the spans that are not entities are included.
    """
    counts_N3 = np.full((len(records), 3), np.nan)
    for row, record in enumerate(records):
        if record.task == "ner" and NO_ENTITY in record.candidates:
            scores = scores_NK[row, : len(record.candidates)]
            share = (scores == scores.max()) / (scores == scores.max()).sum()
            none, gold = record.candidates.index(NO_ENTITY), record.gold[0]
            counts_N3[row] = (share[gold] if gold != none else 0.0, 1 - share[none], gold != none)
    return counts_N3


def margin_scores(
    query_vectors_ND: NDArray[np.floating[Any]], candidate_vectors_MD: NDArray[np.floating[Any]], k: int = 4
) -> NDArray[np.float64]:
    """Return the ratio margin of every query with every candidate, ``[N, M]`` (`ratio_margin` of their cosines).

    Args:
        query_vectors_ND: one vector for each query, of any length above 0.
        candidate_vectors_MD: one vector for each candidate of the pool.
        k: neighbours; at most as many as there are.
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
