"""Figures of a regression run from the numbers of all systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.measured import Measured, compared_pairs, comparisons, figures, figures_of_slices, retention
from limbeck.evaluation.metrics.measure import measure
from limbeck.evaluation.metrics.regression import REGRESSION, ValueOutputs
from limbeck.results.record import System

__all__ = ["measure_regression"]

_OF_VALUES = REGRESSION[:3]


def measure_regression(
    systems: Sequence[System],
    outputs: Mapping[str, Mapping[int, NDArray[np.float32]]],
    gold_NC: NDArray[np.float64],
    names: Sequence[str],
) -> Measured:
    """Return all figures, with 95 % bootstrap intervals over rows; with several numbers, those of each as slices.

    Args:
        systems: a main system among them.
        outputs: of each system, by training seed, in the user's units.
        gold_NC: NaN in unlabelled rows.
        names: of the numbers.

    Raises:
        DataError: two compared systems have several seeds each, but not the same ones.
    """
    teacher = next((one.name for one in systems if one.role == "teacher"), None)
    reference = None if teacher is None else next(iter(outputs[teacher].values())).astype(np.float64)
    values = {
        name: {
            seed: ValueOutputs(found.astype(np.float64), gold_NC, None if name == teacher else reference)
            for seed, found in by_seed.items()
        }
        for name, by_seed in outputs.items()
    }
    labelled = not np.isnan(gold_NC).any(axis=1).all()
    models = [*systems]
    if labelled:
        constant = np.broadcast_to(np.nanmean(gold_NC, axis=0), gold_NC.shape)
        values["constant"] = {0: ValueOutputs(constant, gold_NC, reference)}
        models.append(
            System(name="constant", title="Always the mean", role="constant", detail="the mean of the held-out rows")
        )
    found, headline = measure(values, REGRESSION), "pearson" if labelled else "mse_to_teacher"
    of_each = [({"value": name}, partial(ValueOutputs.of, value=index)) for index, name in enumerate(names)]
    return Measured(
        metrics=[one.metric for one in REGRESSION],
        headline=headline,
        systems=models,
        figures=figures(found) + figures_of_slices(values, _OF_VALUES, of_each if len(names) > 1 else []),
        comparisons=comparisons(found, compared_pairs(models), REGRESSION, headline),
        sections=[retention(found, models, REGRESSION)],
    )
