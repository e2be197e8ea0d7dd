"""Logistic regression on what a pretrained model already says of the labelled rows."""

from __future__ import annotations

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import GivenRows
from limbeck.stages.stage import Stage

__all__ = ["linear_probe", "probe"]


def linear_probe(*, spread_labels: bool = False) -> Recipe:
    """Logistic regression on the frozen features of the labelled rows; no optimiser steps and no teacher.

    Paper: Alain and Bengio 2017, "Understanding intermediate layers using linear classifier probes", arXiv:1610.01644

    Args:
        spread_labels: let unlabelled rows take part: labels spread to them along a graph of nearest neighbours (Zhou
            et al. 2004, "Learning with Local and Global Consistency"), and the head learns from both.
    """
    return Recipe("Linear probe", (probe(spread_labels=spread_labels),))


def probe(head_strength: float | None = None, *, spread_labels: bool = False) -> Stage:
    """Return the stage that fits the head and trains nothing else; for `head_strength` see `Stage`."""
    terms = (WeightedTerm("labels", LabelCrossEntropy()),)
    return Stage(
        "linear_probe",
        terms,
        share=0.0,
        source=GivenRows("labelled"),
        fit_head=True,
        head_strength=head_strength,
        spreads=spread_labels,
    )
