"""Metrics of regression models: errors of the predicted numbers, and correlations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.metrics.measure import Measure
from limbeck.evaluation.metrics.statistic import Statistic, mean_of
from limbeck.results.figures import Metric

__all__ = ["REGRESSION", "ValueOutputs", "correlation"]

Values = NDArray[np.float64]


@dataclass(frozen=True)
class ValueOutputs:
    """Predictions of one system and seed for the held-out rows, in the user's units."""

    predicted_NC: Values
    gold_NC: Values
    """NaN in unlabelled rows."""
    teacher_NC: Values | None
    """The teacher's predictions; ``None`` for the teacher itself, or without one."""

    def of(self, value: int) -> ValueOutputs:
        """Return the outputs restricted to one number."""
        only = slice(value, value + 1)
        teacher = None if self.teacher_NC is None else self.teacher_NC[:, only]
        return ValueOutputs(self.predicted_NC[:, only], self.gold_NC[:, only], teacher)

    @cached_property
    def pairs(self) -> list[tuple[Values, Values]]:
        """Return gold and predicted values of each number over the labelled rows."""
        labelled = ~np.isnan(self.gold_NC).any(axis=1)
        return list(zip(self.gold_NC[labelled].T, self.predicted_NC[labelled].T, strict=True))


def _mse(outputs: ValueOutputs) -> Statistic | None:
    return _mean_square([gold - predicted for gold, predicted in outputs.pairs])


def _mse_to_teacher(outputs: ValueOutputs) -> Statistic | None:
    return None if outputs.teacher_NC is None else _mean_square(list((outputs.predicted_NC - outputs.teacher_NC).T))


def _mean_square(errors: list[Values]) -> Statistic | None:
    return mean_of(np.mean(np.square(errors), axis=0)) if len(errors[0]) else None


def _correlation(ranked: Callable[[Values], Callable[[Values], Values]]) -> Callable[[ValueOutputs], Statistic | None]:
    """Return the mean correlation over numbers; `ranked` returns the values of one side in a sample."""

    def statistic(outputs: ValueOutputs) -> Statistic | None:
        rows = len(outputs.pairs[0][0])
        sides = [(ranked(gold), ranked(predicted)) for gold, predicted in outputs.pairs]

        def figure(counts_RN: Values) -> Values:
            each = [correlation(counts_RN, gold(counts_RN), predicted(counts_RN)) for gold, predicted in sides]
            mean: Values = np.mean(each, axis=0)
            return mean

        return Statistic(rows, figure) if rows else None

    return statistic


def correlation(counts_RN: Values, first_RN: Values, second_RN: Values) -> Values:
    """Return Pearson's correlation in each sample, ``[R]``; 0 if all values of one side are equal.

    There it is undefined (scipy gives NaN), and a constant tells nothing about the order of rows.

    Args:
        counts_RN: how often each row is in each sample.
        first_RN: values of one side, ``[R, N]`` or ``[N]``.
        second_RN: values of the other side.
    """
    size = counts_RN.sum(axis=1, keepdims=True)
    first, second = (side - (counts_RN * side).sum(axis=1, keepdims=True) / size for side in (first_RN, second_RN))
    norm = np.sqrt((counts_RN * first**2).sum(axis=1) * (counts_RN * second**2).sum(axis=1))
    product = (counts_RN * first * second).sum(axis=1)
    varied = ~(_constant(counts_RN, first_RN) | _constant(counts_RN, second_RN))
    found: Values = np.clip(np.divide(product, norm, out=np.zeros_like(norm), where=varied & (norm > 0)), -1.0, 1.0)
    return found


def _constant(counts_RN: Values, values_RN: Values) -> NDArray[np.bool_]:
    """Whether all values of a sample are equal; deviations from their mean would be mere rounding."""
    highest = np.where(counts_RN > 0, values_RN, -np.inf).max(axis=1)
    constant: NDArray[np.bool_] = highest == np.where(counts_RN > 0, values_RN, np.inf).min(axis=1)
    return constant


def _as_they_are(values_N: Values) -> Callable[[Values], Values]:
    return lambda counts_RN: values_N


def _ranks(values_N: Values) -> Callable[[Values], Values]:
    """Return a function from row counts of samples to ranks of rows; ties have their mean rank."""
    distinct, group_N = np.unique(values_N, return_inverse=True)

    def ranks(counts_RN: Values) -> Values:
        order = np.argsort(group_N, kind="stable")
        starts = np.searchsorted(group_N[order], np.arange(len(distinct)))
        in_group_RG = np.add.reduceat(counts_RN[:, order], starts, axis=1)
        mean_rank_RG = np.cumsum(in_group_RG, axis=1) - (in_group_RG - 1) / 2
        picked: Values = mean_rank_RG[:, group_N]
        return picked

    return ranks


REGRESSION: list[Measure[ValueOutputs]] = [
    Measure(
        Metric(
            key="pearson",
            title="Correlation",
            detail="Pearson",
            unit="number",
            higher_is_better=True,
            meaning="Pearson's correlation of predicted and gold values: 1 if they lie on a rising line. With "
            "several numbers, the mean of theirs.",
        ),
        _correlation(_as_they_are),
        compared=True,
        retained=True,
    ),
    Measure(
        Metric(
            key="spearman",
            title="Rank correlation",
            detail="Spearman",
            unit="number",
            higher_is_better=True,
            meaning="Pearson's correlation of the ranks: 1 if predicted values put all rows in the right order.",
        ),
        _correlation(_ranks),
        compared=True,
    ),
    Measure(
        Metric(
            key="mse",
            title="MSE",
            detail="mean squared error",
            unit="quantity",
            higher_is_better=False,
            meaning="The mean of (predicted - gold) squared, in the square of the value's unit. With several numbers, "
            "the mean of theirs, which means little if their units differ: look at each one.",
        ),
        _mse,
        compared=True,
    ),
    Measure(
        Metric(
            key="mse_to_teacher",
            title="MSE to the teacher",
            unit="quantity",
            higher_is_better=False,
            meaning="The same with the teacher's values in place of the gold ones, over all held-out rows.",
        ),
        _mse_to_teacher,
    ),
]
"""Metrics in the order of the headline table."""
