"""Skew divergences on a growing share of the student's own texts, which are used more than once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from limbeck.losses.term import WeightedTerm
from limbeck.losses.tokens import TokenTerm
from limbeck.models.generate import Decoding
from limbeck.numerics.token_losses import TokenDivergence
from limbeck.recipes.recipe import Recipe
from limbeck.recipes.text_stages import beside_corpus, corpus_term, sft_first
from limbeck.sequences.replay import Replay
from limbeck.stages.stage import Stage
from limbeck.types import CompletionSource

__all__ = ["distillm"]


def distillm(
    *,
    divergence: Literal["skew_forward_kl", "skew_reverse_kl"] = "skew_reverse_kl",
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.1,
    capacity: Annotated[int, Field(ge=1)] = 1000,
    validations: Annotated[int, Field(ge=1)] = 10,
    fresh: Literal["decreasing", "constant", "increasing"] = "decreasing",
    corpus_weight: Annotated[float, Field(ge=0)] = 0.0,
    fine_tune_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.25,
    max_new_tokens: Annotated[int, Field(ge=1)] = 128,
) -> Recipe:
    """``KL(p || alpha p + (1 - alpha) q)`` or ``KL(q || (1 - alpha) p + alpha q)``, adaptively off-policy.

    Left out by default: the paper's language-modelling loss on plain text in addition to the task, available with
    ``corpus_weight: 1`` and ``data.corpus``

    Paper: Ko et al. 2024, "DistiLLM: Towards Streamlined Distillation for Large Language Models", ICML,
    arXiv:2402.03898

    Args:
        divergence: ``skew_forward_kl`` or ``skew_reverse_kl``.
        alpha: strength of the skew; towards 0 it is the plain KL.
        capacity: texts in the replay buffer.
        validations: number of evaluations of the validation loss, which decides on more of the student's texts.
        fresh: how the share of newly generated texts changes over the stage.
        corpus_weight: weight of the language-modelling loss on plain text (data.corpus); the paper has 1.
        fine_tune_fraction: share of the steps for fine-tuning on the rows first; 0 for a student that was fine-tuned.
        max_new_tokens: maximum length of a generated text.
    """
    texts = (CompletionSource.DATA, CompletionSource.STUDENT)
    terms = (
        WeightedTerm("divergence", TokenTerm(TokenDivergence(divergence, alpha=alpha), sources=texts)),
        *corpus_term(corpus_weight),
    )
    replay = Replay(capacity=capacity, validations=validations, fresh=fresh, decoding=Decoding(max_new_tokens))
    stage = Stage("distillm", terms, share=1 - fine_tune_fraction, source=beside_corpus(replay, corpus_weight))
    return Recipe("DistiLLM", (*sft_first(fine_tune_fraction), stage))
