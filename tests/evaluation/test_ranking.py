"""Ranks with ties, padding and several right candidates; nDCG and margins against known values."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.instructions.labels import GRADES
from limbeck.data.instructions.make import choice
from limbeck.errors import DataError
from limbeck.evaluation.ranking import (
    example_accuracy,
    gold_ranks,
    margin_scores,
    ndcg,
    query_ndcg,
    ratio_margin,
    reciprocal_rank,
    span_counts,
)
from limbeck.types import Instruction

INF = np.inf


def test_reference_scores_rank_the_second_candidate_second() -> None:
    scores = np.array([[2.0, 1.0, 0.0, -1.0]])
    assert reciprocal_rank(scores, [(1,)]).tolist() == [0.5]
    assert example_accuracy(scores, [(1,)]).tolist() == [0]
    assert example_accuracy(scores, [(0,)]).tolist() == [1]


def test_mean_reciprocal_rank_of_ranks_1_2_4() -> None:
    scores = np.tile([4.0, 3, 2, 1], (3, 1))
    assert reciprocal_rank(scores, [(0,), (1,), (3,)]).mean() == pytest.approx(0.583333, abs=1e-6)


def test_a_right_answer_outside_the_list_counts_0() -> None:
    scores = np.tile(np.arange(11.0, 0, -1), (4, 1))
    scores[:, 10] = -INF
    golds = [(0,), (2,), (9,), (10,)]
    assert reciprocal_rank(scores, golds).mean() == pytest.approx(0.358333, abs=1e-6)
    assert gold_ranks(scores, golds).tolist() == [1, 3, 10, INF]
    assert example_accuracy(scores, golds).tolist() == [1, 0, 0, 0]


def test_a_constant_scorer_earns_one_kth() -> None:
    scores = np.zeros((1, 5))
    assert gold_ranks(scores, [(2,)]).tolist() == [3]
    assert reciprocal_rank(scores, [(2,)])[0] == pytest.approx(0.333333, abs=1e-6)
    assert example_accuracy(scores, [(2,)])[0] == pytest.approx(1 / 5)


def test_padding_is_no_candidate() -> None:
    scores = np.array([[1.0, 1.0, -INF, -INF], [0.0, 2.0, 1.0, -INF]])
    assert gold_ranks(scores, [(0,), (0,)]).tolist() == [1.5, 3]
    assert example_accuracy(scores, [(0,), (1,)]).tolist() == [0.5, 1]


def test_a_record_without_any_score_earns_nothing() -> None:
    scores = np.full((1, 3), -INF)
    assert example_accuracy(scores, [(0,)]).tolist() == [0]
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
    assert example_accuracy(scores, [tuple(golds)])[0] == pytest.approx(np.mean(right))


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
        ([[1.0, 2.0]] * 2, [(0,), (2,)], r"record 1 .* names a right candidate outside the 2 that have scores"),
        ([[1.0, 2.0]] * 2, [(0,), (-1,)], r"record 1 .* names a right candidate outside the 2 that have scores"),
        ([[1.0, math.nan]], [(0,)], r"record 0 .* not a number"),
        ([[1.0, 2.0]], [(0,), (1,)], "1 rows of scores, but right candidates of 2 records"),
    ],
)
def test_refuses_what_has_no_rank(scores: list[list[float]], golds: list[tuple[int, ...]], message: str) -> None:
    for figure in (example_accuracy, reciprocal_rank):
        with pytest.raises(DataError, match=message):
            figure(np.array(scores), golds)


def test_ndcg_has_linear_gain_and_a_binary_logarithm() -> None:
    (found,) = ndcg(np.array([[0.9, 0.2, 0.7, 0.4]]), [(3.0, 2, 0, 1)])
    ideal = 3 + 2 / math.log2(3) + 1 / 2
    assert found == pytest.approx((3 + 1 / 2 + 2 / math.log2(5)) / ideal)
    assert found == pytest.approx(0.915893, abs=1e-6)


def test_ndcg_of_ties_one_page_and_no_relevant_page() -> None:
    scores = np.array([[0.5, 0.5, 9], [0.5, 7, 8], [0.1, 0.2, 0.3]])  # what lies behind the last page is not read
    found = ndcg(scores, [(1.0, 0.0), (3.0,), (0.0, 0.0, 0.0)])
    assert found[0] == pytest.approx((1 + 1 / math.log2(3)) / 2)
    assert math.isnan(found[1])
    assert found[2] == 0
    assert ndcg(np.empty((0, 3)), []).shape == (0,)
    with pytest.raises(DataError, match="3 rows of scores, but grades of 1 queries"):
        ndcg(scores, [(1.0, 0.0)])


@pytest.mark.parametrize("levels", [3, 1000])
def test_ndcg_is_that_of_scikit_learn(levels: int) -> None:
    from sklearn.metrics import ndcg_score

    rng = np.random.default_rng(levels)
    pages = rng.integers(2, 9, 60)
    scores = rng.integers(-levels, levels, (60, 8)).astype(np.float32)
    scores[np.arange(8) >= pages[:, None]] = -INF
    grades = [tuple(map(float, rng.integers(0, 5, n))) for n in pages]
    expected = [ndcg_score([g], scores[i : i + 1, : len(g)]) for i, g in enumerate(grades)]
    np.testing.assert_allclose(ndcg(scores, grades), expected)


def page(number: int, grade: str, query: str) -> Instruction:
    made = choice(
        source="xglue", split="test", lang="en", task="web_pages", key=number, text="q", pair=f"page {number}",
        labels=GRADES, label=grade,
    )  # fmt: skip
    return replace(made, group=query)


def test_a_record_with_grades_is_a_query_and_any_other_none() -> None:
    graded = replace(page(1, "bad", "one"), candidates=("a", "b", "c", "d"), gold=(0,), grades=(3.0, 2, 0, 1))
    topic = choice(source="s", split="test", lang="en", task="topic", key=1, text="t", labels=["a", "b"], label="a")
    scores = np.array([[5.0, 1, -INF, -INF, -INF], [0.9, 0.2, 0.7, 0.4, -INF]])
    found = query_ndcg(scores, [topic, graded])
    assert math.isnan(found[0])
    assert found[1] == pytest.approx(0.915893, abs=1e-6)
    assert np.isnan(query_ndcg(scores[:1], [topic])).all()


def test_pages_that_choose_a_grade_are_ranked_by_the_grade_they_expect() -> None:
    """Two queries, their records in turn; the first of each has the figure."""
    records = [page(1, "perfect", "one"), page(2, "bad", "two"), page(3, "bad", "one"), page(4, "good", "two"),
               page(5, "fair", "alone")]  # fmt: skip
    expected = {1: "fair", 2: "good", 3: "excellent", 4: "perfect", 5: "bad"}  # the grade each page is given
    scores = np.array([[8.0 if name == expected[int(r.id[-1])] else 0 for name in r.candidates] for r in records])
    found = query_ndcg(scores, records)
    assert found[0] == pytest.approx((4 / math.log2(3)) / 4)  # the bad page comes first
    assert found[1] == pytest.approx(1)
    assert np.isnan(found[2:]).all()
    # 0.49 for perfect and 0.51 for bad expect more than a certain "fair", though the likeliest grade is lower.
    unsure = np.log([[{"perfect": 0.49, "bad": 0.51}.get(name, 1e-9) for name in records[0].candidates],
                     [{"fair": 1.0}.get(name, 1e-9) for name in records[2].candidates]])  # fmt: skip
    assert query_ndcg(unsure, [records[0], records[2]])[0] == pytest.approx(1)


def span(label: str, place: int) -> Instruction:
    made = choice(
        source="own", split="test", lang="en", task="ner", key=place, text="a b", labels=("PER", "LOC", "none"),
        label=label,
    )  # fmt: skip
    return replace(made, slots=(("span", "a"), ("start", "0"), ("end", "1")))


@pytest.mark.parametrize(
    ("gold", "scores", "counts"),
    [
        ("PER", {"PER": 1}, (1, 1, 1)),
        ("PER", {"LOC": 1}, (0, 1, 1)),
        ("PER", {"none": 1}, (0, 0, 1)),
        ("none", {"none": 1}, (0, 0, 0)),
        ("none", {"LOC": 1}, (0, 1, 0)),
        ("PER", {"PER": 1, "none": 1}, (0.5, 0.5, 1)),
        ("LOC", {}, (1 / 3, 2 / 3, 1)),
    ],
)
def test_what_a_span_adds_to_an_f1(gold: str, scores: dict[str, float], counts: tuple[float, ...]) -> None:
    record = span(gold, 0)
    row = [scores.get(name, 0.0) for name in record.candidates]
    (found,) = span_counts(np.array([[*row, -INF]]), [record])
    assert found == pytest.approx(counts)


def test_the_counts_give_scikit_learns_micro_f1_without_none() -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    names = ["PER", "LOC", "none"]
    records = [span(str(label), place) for place, label in enumerate(rng.choice(names, 50))]
    other = choice(source="s", split="test", lang="en", task="pos", key=1, text="t", labels=names, label="PER")
    scores = rng.normal(size=(51, 3))
    called = [r.candidates[scores[i].argmax()] for i, r in enumerate(records)]
    gold = [r.candidates[r.gold[0]] for r in records]
    counts = span_counts(scores, [*records, other])
    assert np.isnan(counts[50]).all()
    right, found, there = counts[:50].sum(axis=0)
    expected = f1_score(gold, called, labels=["PER", "LOC"], average="micro")
    assert 2 * right / (found + there) == pytest.approx(expected)


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
