"""Multilingual direct fine-tuning, a baseline of cross-lingual distillation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import RankingOptions, Recipe
from limbeck.sequences.given import GivenRows
from limbeck.stages.stage import Stage

__all__ = ["ml_dft"]


def ml_dft(
    *,
    optim: Literal["adamw", "sgd"] = "adamw",
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None,
) -> Recipe:
    """``CE(gold)`` on all labelled records of all languages together; no prompts except the task's name, no teacher.

    Paper: the baseline ML-DFT of Hughes et al. 2025, doi 10.5281/zenodo.15232962

    Args:
        optim: AdamW, or gradient descent with momentum 0.9 (the paper says SGD).
        learning_rate: by default that of the run's English stage with AdamW, 0.01 with SGD.
    """
    rate = learning_rate or (1e-2 if optim == "sgd" else None)
    settings: dict[str, Any] = {"optim": optim} | ({"learning_rate": rate} if rate else {})
    terms = (WeightedTerm("labels", LabelCrossEntropy()),)
    return Recipe(
        title="ML-DFT" if optim == "adamw" else "ML-DFT (SGD)",
        stages=(Stage("fine_tune", terms, source=GivenRows("source+target"), settings=settings),),
        options=RankingOptions(prompts="task_name"),
    )
