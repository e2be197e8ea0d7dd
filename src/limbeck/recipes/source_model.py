"""The English instruction model: the teacher of cross-lingual distillation."""

from __future__ import annotations

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import GivenRows
from limbeck.stages.stage import Stage

__all__ = ["source_model"]


def source_model() -> Recipe:
    """``CE(gold)`` over candidates, only on instruction records of the source language.

    Every cross-lingual run trains it first; on other languages it is the zero-shot system.

    Paper: Hughes et al. 2025, "Cross-Lingual Instruction Alignment in Large Language Models via Lightweight
    Prompt Distillation", doi 10.5281/zenodo.15232962 (E-IM)
    """
    return Recipe(
        title="English model (zero-shot)",
        stages=(Stage("source", (WeightedTerm("labels", LabelCrossEntropy()),), source=GivenRows("source")),),
    )
