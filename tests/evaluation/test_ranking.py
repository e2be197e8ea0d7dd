"""Ranks with ties, padding and several right candidates; nDCG and margins against known values."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.errors import DataError
from limbeck.evaluation.ranking import (
    accuracy_credit,
    gold_ranks,
    margin_scores,
    ndcg,
    ratio_margin,
    reciprocal_rank,
)

INF = np.inf


def test_reference_scores_rank_the_second_candidate_second() -> None:
    scores = np.array([[2.0, 1.0, 0.0, -1.0]])
    assert reciprocal_rank(scores, [(1,)]).tolist() == [0.5]
    assert accuracy_credit(scores, [(1,)]).tolist() == [0]
    assert accuracy_credit(scores, [(0,)]).tolist() == [1]


def test_mean_reciprocal_rank_of_ranks_1_2_4() -> None:
    scores = np.tile([4.0, 3, 2, 1], (3, 1))
    assert reciprocal_rank(scores, [(0,), (1,), (3,)]).mean() == pytest.approx(0.583333, abs=1e-6)


def test_a_right_answer_outside_the_list_counts_0() -> None:
    scores = np.tile(np.arange(11.0, 0, -1), (4, 1))
    scores[:, 10] = -INF
    golds = [(0,), (2,), (9,), (10,)]
    assert reciprocal_rank(scores, golds).mean() == pytest.approx(0.358333, abs=1e-6)
    assert gold_ranks(scores, golds).tolist() == [1, 3, 10, INF]
    assert accuracy_credit(scores, golds).tolist() == [1, 0, 0, 0]


def test_a_constant_scorer_earns_one_kth() -> None:
    scores = np.zeros((1, 5))
    assert gold_ranks(scores, [(2,)]).tolist() == [3]
    assert reciprocal_rank(scores, [(2,)])[0] == pytest.approx(0.333333, abs=1e-6)
    assert accuracy_credit(scores, [(2,)])[0] == pytest.approx(1 / 5)


def test_padding_is_no_candidate() -> None:
    scores = np.array([[1.0, 1.0, -INF, -INF], [0.0, 2.0, 1.0, -INF]])
    assert gold_ranks(scores, [(0,), (0,)]).tolist() == [1.5, 3]
    assert accuracy_credit(scores, [(0,), (1,)]).tolist() == [0.5, 1]


def test_a_record_without_any_score_earns_nothing() -> None:
    scores = np.full((1, 3), -INF)
    assert accuracy_credit(scores, [(0,)]).tolist() == [0]
    assert reciprocal_rank(scores, [(0,)]).tolist() == [0]


small_scores = st.lists(st.integers(0, 3), min_size=2, max_size=5)


@given(small_scores, st.data())
def test_ties_count_as_if_broken_by_lot(row: list[int], data: st.DataObject) -> None:
    golds = data.draw(st.sets(st.integers(0, len(row) - 1), min_size=1))
    ranks, right = [], []
    for lot in itertools.permutations(range(len(row))):
        order = sorted(range(len(row)), key=lambda k: (-row[k], lot[k]))
        ranks.append(1 + min(order.index(gold) for gold in golds))
        right.append(order[0] in golds)
    scores = np.array([row], dtype=np.float32)
    assert gold_ranks(scores, [tuple(golds)])[0] == pytest.approx(np.mean(ranks))
    assert accuracy_credit(scores, [tuple(golds)])[0] == pytest.approx(np.mean(right))


def test_thousands_of_records_take_no_time() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(10_000, 100)).astype(np.float32)
    golds = [(int(k),) for k in rng.integers(0, 100, 10_000)]
    start = time.perf_counter()
    rank = gold_ranks(scores, golds)
    assert time.perf_counter() - start < 2
    assert rank.mean() == pytest.approx(50.5, abs=2)


@pytest.mark.parametrize(
    ("scores", "golds", "message"),
    [
        ([[1.0, 2.0]], [()], r"record 0 \(counted from 0\) has no right candidate"),
        ([[1.0, 2.0]] * 2, [(0,), (2,)], r"record 1 .* names a right candidate outside the 2 places"),
        ([[1.0, 2.0]] * 2, [(0,), (-1,)], r"record 1 .* names a right candidate outside the 2 places"),
        ([[1.0, math.nan]], [(0,)], r"record 0 .* not a number"),
        ([[1.0, 2.0]], [(0,), (1,)], "1 rows of scores, but right candidates of 2 records"),
    ],
)
def test_refuses_what_has_no_rank(scores: list[list[float]], golds: list[tuple[int, ...]], message: str) -> None:
    for figure in (accuracy_credit, reciprocal_rank):
        with pytest.raises(DataError, match=message):
            figure(np.array(scores), golds)


def test_ndcg_has_linear_gain_and_a_binary_logarithm() -> None:
    found = ndcg(np.array([3.0, 2, 0, 1]), np.array([0.9, 0.2, 0.7, 0.4]))
    ideal = 3 + 2 / math.log2(3) + 1 / 2
    assert found == pytest.approx((3 + 1 / 2 + 2 / math.log2(5)) / ideal)
    assert found == pytest.approx(0.915893, abs=1e-6)


def test_ndcg_of_ties_one_page_and_no_relevant_page() -> None:
    assert ndcg(np.array([1.0, 0.0]), np.array([0.5, 0.5])) == pytest.approx((1 + 1 / math.log2(3)) / 2)
    assert ndcg(np.array([3.0]), np.array([0.5])) is None
    assert ndcg(np.zeros(3), np.array([0.1, 0.2, 0.3])) == 0


def test_margin_of_reference_pairs() -> None:
    near = np.array([[0.80, 0.60], [0.60, 0.10]])  # both neighbourhoods have mean .70
    assert ratio_margin(near, k=2)[0, 0] == pytest.approx(1.142857, abs=1e-6)
    hub = np.array([[0.78, 0.76], [0.80, 0.10]])  # means .77 (row) and .79 (column)
    assert ratio_margin(hub, k=2)[0, 0] == pytest.approx(1.0)


def test_margin_takes_the_nearest_four() -> None:
    cosines = np.array([[0.80, 0.70, 0.66, 0.64, 0.10, 0.20]])  # the four nearest have mean .70
    assert ratio_margin(cosines)[0, 0] == pytest.approx(0.80 / (0.70 / 2 + 0.80 / 2))


def test_margin_scores_are_blind_to_lengths_and_find_the_hub() -> None:
    rng = np.random.default_rng(0)
    queries, candidates = rng.normal(size=(30, 8)), rng.normal(size=(20, 8))
    scores = margin_scores(queries, candidates)
    assert scores.shape == (30, 20)
    np.testing.assert_allclose(margin_scores(queries * 3, candidates * rng.random((20, 1))), scores)
    query, candidate = queries[4] / np.linalg.norm(queries[4]), candidates[7] / np.linalg.norm(candidates[7])
    cosines = [
        q @ c / np.linalg.norm(q) / np.linalg.norm(c)
        for q, c in [*((queries[4], c) for c in candidates), *((q, candidates[7]) for q in queries)]
    ]
    means = [np.mean(sorted(part)[-4:]) for part in (cosines[:20], cosines[20:])]
    assert scores[4, 7] == pytest.approx(query @ candidate / (sum(means) / 2))


def test_margin_keeps_the_sign_where_neighbours_are_far() -> None:
    margins = ratio_margin(np.array([[0.1, -0.9], [-0.8, -0.7]]), k=2)
    assert (np.sign(margins) == [[1, -1], [-1, -1]]).all()
    assert np.isfinite(margins).all()
