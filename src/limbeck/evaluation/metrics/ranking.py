"""Metrics of rankers, from the scores of each record's candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.metrics.measure import Measure
from limbeck.evaluation.metrics.statistic import Statistic, mean_of
from limbeck.results.figures import Metric

__all__ = ["RANKING", "ExampleScores"]


@dataclass(frozen=True)
class ExampleScores:
    """The scores of one system and seed on each test record, ``[N]`` (`limbeck.evaluation.ranking`)."""

    accuracy_N: NDArray[np.float64]
    reciprocal_rank_N: NDArray[np.float64]
    ndcg_N: NDArray[np.float64]
    """NaN except at the first record of a query."""
    spans_N3: NDArray[np.float64]
    """For each span record: right, called an entity, an entity; NaN at other records."""

    def take(self, rows: NDArray[np.int64]) -> ExampleScores:
        """Return the scores of some records."""
        return ExampleScores(*(values[rows] for values in vars(self).values()))


def _accuracy(example_scores: ExampleScores) -> Statistic:
    return mean_of(example_scores.accuracy_N, right_N=example_scores.accuracy_N > 0.5)


def _mrr(example_scores: ExampleScores) -> Statistic:
    return mean_of(example_scores.reciprocal_rank_N)


def _ndcg(example_scores: ExampleScores) -> Statistic | None:
    known = ~np.isnan(example_scores.ndcg_N)
    return mean_of(example_scores.ndcg_N[known]) if known.any() else None


def _span_f1(example_scores: ExampleScores) -> Statistic | None:
    known = ~np.isnan(example_scores.spans_N3[:, 0])
    counts = example_scores.spans_N3[known]
    return Statistic(len(counts), _micro_f1, counts) if counts[:, 2].any() else None


def _micro_f1(sums_R3: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``2 right / (called + gold)``; 0 in a sample without any called or gold entity."""
    right, found = sums_R3[:, 0], sums_R3[:, 1] + sums_R3[:, 2]
    f1: NDArray[np.float64] = 2 * right / np.where(found > 0, found, 1)
    return f1


RANKING: list[Measure[ExampleScores]] = [
    Measure(
        Metric(
            key="accuracy",
            title="Accuracy",
            detail="records right",
            unit="share",
            higher_is_better=True,
            meaning="The share of records whose best-scored candidate is right; if n candidates tie for the best, "
            "it counts 1/n.",
        ),
        _accuracy,
        compared=True,
        retained=True,
    ),
    Measure(
        Metric(
            key="mrr",
            title="MRR",
            detail="mean reciprocal rank",
            unit="number",
            higher_is_better=True,
            meaning="Mean reciprocal rank of the right candidate: 1 if it always comes first, 1/2 if always second. A "
            "tie counts half a rank.",
        ),
        _mrr,
        compared=True,
    ),
    Measure(
        Metric(
            key="ndcg",
            title="nDCG",
            detail="of web pages",
            unit="number",
            higher_is_better=True,
            table="tasks",
            meaning="For a query's pages in the order of their scores: the sum of grade / log2(1 + rank), over "
            "the sum in the best order. Mean over queries with two or more pages.",
        ),
        _ndcg,
    ),
    Measure(
        Metric(
            key="span_f1",
            title="span F1",
            detail="of given spans",
            unit="number",
            higher_is_better=True,
            table="tasks",
            meaning="Micro F1 over entity types of the spans in question. Not the entity F1 of taggers: the spans are "
            "given, so a model need not find them.",
        ),
        _span_f1,
    ),
]
"""Metrics in the order of the headline table."""
