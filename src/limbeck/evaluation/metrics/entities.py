"""Metrics of taggers, over the entities in each text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from limbeck.data.tagging.scheme import Span
from limbeck.evaluation.f1_of_sets import entity_counts, macro_f1, micro_f1, of_counts, precision, recall
from limbeck.evaluation.metrics.measure import Measure
from limbeck.evaluation.metrics.statistic import Statistic
from limbeck.results.figures import Metric

__all__ = ["ENTITIES", "TaggerOutputs"]

Entities = Sequence[Sequence[Span]]


@dataclass(frozen=True)
class TaggerOutputs:
    """Entities that one system and seed finds in the held-out rows, in characters."""

    gold: Sequence[Sequence[Span] | None]
    """``None``: the row has no gold entities to compare with."""
    predicted: Entities
    teacher: Entities | None
    """The teacher's entities; ``None`` for the teacher itself, or without one."""
    labels: Sequence[str]

    def of(self, label: str) -> TaggerOutputs:
        """Return the outputs restricted to one label."""
        return self._mapped(lambda spans: [span for span in spans if span.label == label], [label])

    @property
    def unlabelled_spans(self) -> TaggerOutputs:
        """Return the outputs with the types of entities removed."""
        return self._mapped(lambda spans: [span._replace(label="") for span in spans], [""])

    def _mapped(self, kept: Callable[[Sequence[Span]], list[Span]], labels: list[str]) -> TaggerOutputs:
        return TaggerOutputs(
            gold=[None if spans is None else kept(spans) for spans in self.gold],
            predicted=[kept(spans) for spans in self.predicted],
            teacher=None if self.teacher is None else [kept(spans) for spans in self.teacher],
            labels=labels,
        )

    @cached_property
    def counts_NC3(self) -> NDArray[np.int64]:
        """Counts of the labelled rows."""
        rows = [(gold, given) for gold, given in zip(self.gold, self.predicted, strict=True) if gold is not None]
        return entity_counts([gold for gold, _ in rows], [given for _, given in rows], self.labels)


def _agreement(outputs: TaggerOutputs) -> Statistic | None:
    if outputs.teacher is None:
        return None
    return of_counts(replace(outputs, gold=outputs.teacher).counts_NC3, micro_f1)


ENTITIES: list[Measure[TaggerOutputs]] = [
    Measure(
        Metric(
            key="entity_f1",
            title="Entity F1",
            detail="micro, exact spans",
            unit="share",
            higher_is_better=True,
            meaning="2 right / (predicted + gold) over all entities of the held-out rows. An entity is right if its "
            "start, its end and its type are.",
        ),
        lambda of: of_counts(of.counts_NC3, micro_f1),
        compared=True,
        retained=True,
    ),
    Measure(
        Metric(
            key="macro_f1",
            title="Macro F1",
            detail="over types",
            unit="share",
            higher_is_better=True,
            meaning="The mean of the F1 of each entity type in the held-out rows, so that a rare type counts as much "
            "as a common one.",
        ),
        lambda of: of_counts(of.counts_NC3, macro_f1),
        compared=True,
    ),
    Measure(
        Metric(
            key="precision",
            title="Precision",
            detail="predicted and right",
            unit="share",
            higher_is_better=True,
            table="entities",
            meaning="The share of the predicted entities that are right.",
        ),
        lambda of: of_counts(of.counts_NC3, lambda counts: precision(counts.sum(axis=-2))),
    ),
    Measure(
        Metric(
            key="recall",
            title="Recall",
            detail="gold and found",
            unit="share",
            higher_is_better=True,
            table="entities",
            meaning="The share of the gold entities that are found.",
        ),
        lambda of: of_counts(of.counts_NC3, lambda counts: recall(counts.sum(axis=-2))),
    ),
    Measure(
        Metric(
            key="boundary_f1",
            title="Boundary F1",
            detail="any type",
            unit="share",
            higher_is_better=True,
            table="entities",
            meaning="Entity F1 with the types ignored. It exceeds entity F1 by the entities that were found but given "
            "the wrong type.",
        ),
        lambda of: of_counts(of.unlabelled_spans.counts_NC3, micro_f1),
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
"""Metrics in the order of the headline table."""
