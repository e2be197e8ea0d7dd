"""Logistic regression on what a pretrained model already says of the labelled rows."""

from __future__ import annotations

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import GivenRows
from limbeck.stages.stage import Stage

__all__ = ["linear_probe", "probe"]


def linear_probe() -> Recipe:
    """Logistic regression on the frozen features of the labelled rows; no optimiser steps and no teacher.

    Paper: Alain and Bengio 2017, "Understanding intermediate layers using linear classifier probes", arXiv:1610.01644
    """
    return Recipe("Linear probe", (probe(),))


def probe(head_strength: float | None = None) -> Stage:
    """Return the stage that fits the head and trains nothing else; for `head_strength` see `Stage`."""
    terms = (WeightedTerm("labels", LabelCrossEntropy()),)
    source = GivenRows("labelled")
    return Stage("linear_probe", terms, share=0.0, source=source, fit_head=True, head_strength=head_strength)
