"""Sequence-level distillation: the student learns from texts that the teacher generated."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from limbeck.losses.term import WeightedTerm
from limbeck.losses.tokens import TokenTerm
from limbeck.models.generate import Decoding
from limbeck.numerics.token_losses import LabelLoss, TokenDivergence
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import TeacherWritten
from limbeck.stages.stage import Stage

__all__ = ["seqkd"]


def seqkd(
    *,
    decode: Literal["beam", "sample"] = "beam",
    beams: Annotated[int, Field(ge=1)] = 5,
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0,
    max_new_tokens: Annotated[int, Field(ge=1)] = 128,
    word_level_weight: Annotated[float, Field(ge=0, le=1)] = 0.0,
) -> Recipe:
    """Cross-entropy on completions that the teacher generates once; the rows' own completions are not used.

    Paper: Kim, Rush 2016, "Sequence-Level Knowledge Distillation", arXiv:1606.07947 (beam search; MiniLLM's
    baseline of this name samples)

    Args:
        decode: ``beam``: approximately the teacher's mode; ``sample``: samples from it.
        beams: number of beams.
        temperature: sampling temperature.
        max_new_tokens: maximum length of a completion; one that is cut off there has no end to learn.
        word_level_weight: weight of KL(teacher || student) on the same texts; the rest is on the cross-entropy.
    """
    decoding = Decoding(max_new_tokens, temperature, beams=beams if decode == "beam" else 1)
    terms = (
        WeightedTerm("labels", TokenTerm(LabelLoss()), weight=1 - word_level_weight),
        WeightedTerm("divergence", TokenTerm(TokenDivergence("forward_kl")), weight=word_level_weight),
    )
    return Recipe("SeqKD", (Stage("seqkd", terms, source=TeacherWritten(decoding)),))
