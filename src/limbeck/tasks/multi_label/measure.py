"""Figures of a multi-label run from the logits of all systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.measured import Measured, compared_pairs, comparisons, figures, figures_of_slices, retention
from limbeck.evaluation.metrics.label_sets import LABEL_SETS, LabelSetOutputs
from limbeck.evaluation.metrics.measure import Measure, measure
from limbeck.results.figures import Metric
from limbeck.results.record import System
from limbeck.results.sections import Classes

__all__ = ["measure_label_sets"]

_OF_LABELS = [
    Measure(
        Metric(
            key="f1",
            title="F1",
            unit="share",
            higher_is_better=True,
            table="classes",
            meaning="2 right / (given + gold) of one label.",
        ),
        LABEL_SETS[0].statistic,
    )
]


def measure_label_sets(
    systems: Sequence[System],
    logits: Mapping[str, Mapping[int, NDArray[np.float32]]],
    gold_NC: NDArray[np.float64],
    labels: list[str],
) -> Measured:
    """Return all figures, with 95 % bootstrap intervals over rows; the F1 of each label as slices.

    Args:
        systems: a main system among them.
        logits: of each system, by training seed.
        gold_NC: 1 and 0; NaN in unlabelled rows.
        labels: names of the labels.

    Raises:
        DataError: two compared systems have several seeds each, but not the same ones.
    """
    teacher = next((one.name for one in systems if one.role == "teacher"), None)
    reference = None if teacher is None else next(iter(logits[teacher].values()))
    outputs = {
        name: {
            seed: LabelSetOutputs(found, gold_NC, None if name == teacher else reference) for seed, found in of.items()
        }
        for name, of in logits.items()
    }
    found = measure(outputs, LABEL_SETS)
    headline = "agreement" if np.isnan(gold_NC).any(axis=1).all() else "micro_f1"
    of_each = [({"class": name}, partial(LabelSetOutputs.of, label=index)) for index, name in enumerate(labels)]
    return Measured(
        metrics=[one.metric for one in (*LABEL_SETS, *_OF_LABELS)],
        headline=headline,
        systems=list(systems),
        figures=figures(found) + figures_of_slices(outputs, _OF_LABELS, of_each),
        comparisons=comparisons(found, compared_pairs(systems), LABEL_SETS, headline),
        sections=[Classes(labels=labels, name="labels"), retention(found, systems, LABEL_SETS)],
    )
