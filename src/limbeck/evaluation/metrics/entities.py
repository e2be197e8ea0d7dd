"""Metrics of taggers: of the entities that they name in each text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.tagging.scheme import Span
from limbeck.evaluation.f1_of_sets import entity_counts, macro_f1, micro_f1, precision, recall
from limbeck.evaluation.metrics.measure import Measure
from limbeck.evaluation.metrics.statistic import Statistic
from limbeck.results.figures import Metric

__all__ = ["ENTITIES", "TaggerOutputs"]

Entities = Sequence[Sequence[Span]]


@dataclass(frozen=True)
class TaggerOutputs:
    """What one system and seed names in the held-out rows, in characters."""

    gold: Sequence[Sequence[Span] | None]
    """``None``: the row has no gold entities to compare with."""
    predicted: Entities
    teacher: Entities | None
    """The teacher's; ``None`` for the teacher itself, and without one."""
    labels: Sequence[str]

    def of(self, label: str) -> TaggerOutputs:
        """Return what concerns one label alone."""
        return self._mapped(lambda spans: [span for span in spans if span.label == label], [label])

    @property
    def unlabelled_spans(self) -> TaggerOutputs:
        """The same without what the entities are called."""
        return self._mapped(lambda spans: [span._replace(label="") for span in spans], [""])

    def _mapped(self, kept: Callable[[Sequence[Span]], list[Span]], labels: list[str]) -> TaggerOutputs:
        return TaggerOutputs(
            gold=[None if spans is None else kept(spans) for spans in self.gold],
            predicted=[kept(spans) for spans in self.predicted],
            teacher=None if self.teacher is None else [kept(spans) for spans in self.teacher],
            labels=labels,
        )

    @cached_property
    def columns(self) -> NDArray[np.float64]:
        """Counts of the labelled rows, ``[n, 3 C]``."""
        rows = [(gold, given) for gold, given in zip(self.gold, self.predicted, strict=True) if gold is not None]
        return _columns([gold for gold, _ in rows], [given for _, given in rows], self.labels)


def _columns(gold: Entities, predicted: Entities, labels: Sequence[str]) -> NDArray[np.float64]:
    return entity_counts(gold, predicted, labels).reshape(len(gold), 3 * len(labels)).astype(np.float64)


def _statistic(columns: NDArray[np.float64], figure: Callable[[Any], NDArray[np.float64]]) -> Statistic:
    return Statistic(len(columns), lambda sums: figure(sums.reshape(len(sums), -1, 3)), columns)


def _over_labels(
    figure: Callable[[Any], NDArray[np.float64]],
) -> Callable[[TaggerOutputs], Statistic | None]:
    """A figure of the counts of all labels."""

    def statistic(outputs: TaggerOutputs) -> Statistic | None:
        return _statistic(outputs.columns, figure) if len(outputs.columns) else None

    return statistic


def _boundaries(outputs: TaggerOutputs) -> Statistic | None:
    columns = outputs.unlabelled_spans.columns
    return _statistic(columns, micro_f1) if len(columns) else None


def _agreement(outputs: TaggerOutputs) -> Statistic | None:
    if outputs.teacher is None:
        return None
    return _statistic(replace(outputs, gold=outputs.teacher).columns, micro_f1)


ENTITIES: list[Measure[TaggerOutputs]] = [
    Measure(
        Metric(
            key="entity_f1",
            title="Entity F1",
            detail="micro, exact spans",
            unit="share",
            higher_is_better=True,
            meaning="2 right / (given + gold) over all entities of the held-out rows; one is right if its start, its "
            "end and its label are.",
        ),
        _over_labels(micro_f1),
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
            meaning="The mean of the F1 of each label that is gold in the held-out rows.",
        ),
        _over_labels(macro_f1),
        compared=True,
    ),
    Measure(
        Metric(
            key="precision",
            title="Precision",
            detail="of entities given",
            unit="share",
            higher_is_better=True,
            meaning="The share of the entities given that are right.",
        ),
        _over_labels(lambda counts: precision(counts.sum(axis=-2))),
    ),
    Measure(
        Metric(
            key="recall",
            title="Recall",
            detail="of gold entities",
            unit="share",
            higher_is_better=True,
            meaning="The share of the gold entities that are found.",
        ),
        _over_labels(lambda counts: recall(counts.sum(axis=-2))),
    ),
    Measure(
        Metric(
            key="boundary_f1",
            title="Boundary F1",
            detail="whatever the label",
            unit="share",
            higher_is_better=True,
            meaning="Entity F1 if an entity of the wrong label counts as right: what is above the entity F1 are "
            "entities that were found and called something else.",
        ),
        _boundaries,
    ),
    Measure(
        Metric(
            key="agreement",
            title="Agreement",
            detail="F1 to the teacher",
            unit="share",
            higher_is_better=True,
            meaning="Entity F1 with the teacher's entities in place of the gold ones, over all held-out rows.",
        ),
        _agreement,
        compared=True,
    ),
]
"""In the order of the headline table."""
