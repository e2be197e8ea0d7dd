"""Reverse KL of whole texts by policy gradient."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limbeck.losses.policy import ClippedPolicyGradient
from limbeck.losses.term import WeightedTerm
from limbeck.losses.tokens import TokenTerm
from limbeck.models.generate import Decoding
from limbeck.numerics.token_losses import TokenDivergence
from limbeck.recipes.recipe import Recipe
from limbeck.recipes.text_stages import beside_corpus, corpus_term, sft_first
from limbeck.sequences.rollouts import Rollouts
from limbeck.stages.stage import Stage
from limbeck.types import CompletionSource

__all__ = ["minillm"]


def minillm(
    *,
    teacher_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.2,
    prompts: Annotated[int, Field(ge=1)] = 256,
    inner_epochs: Annotated[int, Field(ge=1)] = 4,
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.2,
    corpus_weight: Annotated[float, Field(ge=0)] = 0.0,
    fine_tune_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.25,
    max_new_tokens: Annotated[int, Field(ge=1)] = 128,
    released_code: bool = False,
) -> Recipe:
    """``KL(student || teacher)`` of whole texts: its single-step part exactly, the rest by clipped policy gradients.

    Texts are generated in rounds by a mixture of student and teacher. A token's reward is clipped to between -100 and
    100, as in the released code.

    Left out by default: the paper's language-modelling loss on plain text in addition to the task, available with
    ``corpus_weight: 1`` and ``data.corpus``

    Paper: Gu et al. 2024, "MiniLLM: Knowledge Distillation of Large Language Models", ICLR, arXiv:2306.08543

    Args:
        teacher_fraction: alpha of the mixture that generates.
        prompts: texts per round.
        inner_epochs: number of passes over each text.
        clip: clipping range of the probability ratio.
        corpus_weight: weight of the language-modelling loss on plain text (data.corpus); the paper has 1.
        fine_tune_fraction: share of the steps for fine-tuning on the rows first; 0 for a student that was fine-tuned.
        max_new_tokens: maximum length of a generated text.
        released_code: weight tokens as the released code does, not as in the paper; the gradient is then no longer
            that of the divergence: a token's return includes its own reward, later ones are discounted by 0.95,
            rewards are doubled, and returns are scaled to mean 0 and variance 1 over a round.
    """
    own = (CompletionSource.STUDENT,)
    terms = (
        WeightedTerm("single", TokenTerm(TokenDivergence("reverse_kl"), sources=own)),
        WeightedTerm("long", ClippedPolicyGradient(clip=clip, sources=own)),
        *corpus_term(corpus_weight),
    )
    rollouts = Rollouts(
        prompts=prompts,
        epochs=inner_epochs,
        teacher_fraction=teacher_fraction,
        released_code=released_code,
        decoding=Decoding(max_new_tokens),
    )
    stage = Stage(
        "minillm",
        terms,
        share=1 - fine_tune_fraction,
        source=beside_corpus(rollouts, corpus_weight),
        # The ratio of new to old probabilities must be that of two students, not of two dropout masks.
        settings={"dropout": 0.0},
    )
    return Recipe("MiniLLM", (*sft_first(fine_tune_fraction), stage))
