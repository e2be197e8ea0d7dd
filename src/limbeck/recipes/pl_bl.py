"""Prompt-based learning, a baseline of cross-lingual distillation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import RankingOptions, Recipe
from limbeck.sequences.given import GivenRows
from limbeck.stages.stage import Stage

__all__ = ["pl_bl"]


def pl_bl(*, share: Annotated[float, Field(gt=0, le=1)] = 1.0) -> Recipe:
    """``CE(gold)`` over masked-language scores of the candidates after hand-written prompts of both levels.

    No soft prompts, no teacher, no new parameters: the pretrained masked-language head scores the candidates.

    Paper: the baseline PL-BL of Hughes et al. 2025, doi 10.5281/zenodo.15232962

    Args:
        share: share of the steps that other systems get; a step reads several masked sequences for each record, so
            an equal share of computation means far fewer steps.
    """
    terms = (WeightedTerm("labels", LabelCrossEntropy()),)
    return Recipe(
        title="PL-BL",
        stages=(Stage("fine_tune", terms, source=GivenRows("source+target"), share=share),),
        options=RankingOptions(scorer="verbaliser", prompts="hard"),
    )
