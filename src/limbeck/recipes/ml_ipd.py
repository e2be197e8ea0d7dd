"""Multilingual instruction alignment by prompt distillation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from limbeck.losses.candidates import CandidateMSE
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import GivenRows, Paired, Pairing
from limbeck.stages.stage import Stage

__all__ = ["ml_ipd"]


def ml_ipd(
    *,
    pairing: Pairing = "parallel",
    confidence_threshold: Annotated[float, Field(ge=0, le=1)] = 0.5,
    outputs: Literal["logits", "probs"] = "logits",
    label_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0,
    start: Literal["source_model", "backbone"] = "source_model",
) -> Recipe:
    """``sum_k (y_T - y_S)^2`` of centred candidate scores, English model to student; ``CE(gold)`` on a few labels.

    The student starts as a copy of the English model and learns to answer in every target language as the
    English model does, from unlabelled text; then follow a few labelled records of each language.

    Paper: Hughes et al. 2025, "Cross-Lingual Instruction Alignment in Large Language Models via Lightweight
    Prompt Distillation", doi 10.5281/zenodo.15232962

    Args:
        pairing: the teacher's input. ``parallel``: the English text, while the student reads its translation.
            ``same``: the target-language text, which needs no translations. ``mixed``: one or the other, by a
            coin for each batch.
        confidence_threshold: leave out a record if the teacher's highest probability is below this.
        outputs: compare centred scores, or probabilities.
        label_weight: weight of the cross-entropy with the English label of the paired record.
        start: start the student as a copy of the English model, or from the pretrained backbone.
    """
    terms = (
        WeightedTerm("distillation", CandidateMSE(outputs=outputs)),
        WeightedTerm("labels", LabelCrossEntropy(), weight=label_weight),
    )
    return Recipe(
        title="ML-IPD",
        stages=(
            Stage("distillation", terms, source=Paired(pairing, confidence_threshold)),
            Stage("target", (WeightedTerm("labels", LabelCrossEntropy()),), source=GivenRows("target")),
        ),
        starts_from="teacher" if start == "source_model" else "student",
    )
