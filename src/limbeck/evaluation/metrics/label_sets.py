"""Metrics of multi-label classifiers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.f1_of_sets import label_counts, macro_f1, micro_f1, of_counts
from limbeck.evaluation.metrics.measure import Measure
from limbeck.evaluation.metrics.statistic import Statistic, mean_of
from limbeck.results.figures import Metric

__all__ = ["LABEL_SETS", "LabelSetOutputs"]


@dataclass(frozen=True)
class LabelSetOutputs:
    """Outputs of one system and seed on the held-out rows. A label is given if its probability is above 0.5."""

    logits_NC: NDArray[np.floating[Any]]
    gold_NC: NDArray[np.float64]
    """1 if a row has a label, else 0; NaN in unlabelled rows."""
    teacher_NC: NDArray[np.floating[Any]] | None
    """The teacher's logits; ``None`` for the teacher itself, or without one."""

    def of(self, label: int) -> LabelSetOutputs:
        """Return the outputs restricted to one label."""
        only = slice(label, label + 1)
        teacher = None if self.teacher_NC is None else self.teacher_NC[:, only]
        return LabelSetOutputs(self.logits_NC[:, only], self.gold_NC[:, only], teacher)

    @cached_property
    def labelled(self) -> NDArray[np.int64]:
        """Indices of the rows whose labels are known."""
        return np.flatnonzero(~np.isnan(self.gold_NC).any(axis=1))

    @cached_property
    def counts_NC3(self) -> NDArray[np.int64]:
        """Counts of the labelled rows."""
        return label_counts(self.gold_NC[self.labelled] > 0, self.logits_NC[self.labelled] > 0)


def _subset_accuracy(outputs: LabelSetOutputs) -> Statistic | None:
    if not len(outputs.labelled):
        return None
    right = (outputs.counts_NC3[..., 1] == outputs.counts_NC3[..., 2]).all(axis=1)
    return mean_of(right, right_N=right)


def _agreement(outputs: LabelSetOutputs) -> Statistic | None:
    if outputs.teacher_NC is None:
        return None
    return mean_of(((outputs.logits_NC > 0) == (outputs.teacher_NC > 0)).mean(axis=1))


LABEL_SETS: list[Measure[LabelSetOutputs]] = [
    Measure(
        Metric(
            key="micro_f1",
            title="Micro F1",
            detail="over rows and labels",
            unit="share",
            higher_is_better=True,
            meaning="2 right / (predicted + gold) over all labels of all held-out rows. A label is predicted if "
            "its probability is above 0.5.",
        ),
        lambda of: of_counts(of.counts_NC3, micro_f1),
        compared=True,
        retained=True,
    ),
    Measure(
        Metric(
            key="macro_f1",
            title="Macro F1",
            detail="over labels",
            unit="share",
            higher_is_better=True,
            meaning="The mean of the F1 of each label that a held-out row has.",
        ),
        lambda of: of_counts(of.counts_NC3, macro_f1),
        compared=True,
    ),
    Measure(
        Metric(
            key="subset_accuracy",
            title="Subset accuracy",
            detail="rows all right",
            unit="share",
            higher_is_better=True,
            meaning="The share of held-out rows that were given exactly their labels.",
        ),
        _subset_accuracy,
        compared=True,
    ),
    Measure(
        Metric(
            key="agreement",
            title="Agreement",
            detail="with teacher",
            unit="share",
            higher_is_better=True,
            meaning="The share of rows and labels on which system and teacher agree, yes or no.",
        ),
        _agreement,
        compared=True,
    ),
]
"""Metrics in the order of the headline table."""
