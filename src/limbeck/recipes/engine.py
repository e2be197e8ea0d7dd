"""ENGINE: the teacher's energy of what the student writes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limbeck.losses.term import WeightedTerm
from limbeck.losses.tokens import TokenTerm
from limbeck.models.generate import Decoding
from limbeck.numerics.token_losses import TokenDivergence
from limbeck.recipes.recipe import Recipe
from limbeck.recipes.text_stages import sft_first
from limbeck.sequences.on_policy import OnPolicy
from limbeck.stages.stage import Stage

__all__ = ["engine"]


def engine(
    *,
    fine_tune_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.25,
    max_new_tokens: Annotated[int, Field(ge=1)] = 128,
) -> Recipe:
    """``-sum_v q(v) log p(v)`` at every token of the text that the student finds most likely, greedily.

    It is the reverse KL without the student's entropy, on one text instead of samples, as Wen et al. 2023 (f-DISTILL,
    section 3.2) name it. Nothing rewards doubt, so the student becomes sure of the teacher's most likely next tokens:
    use it where one answer is wanted, not many different ones. The loss is not 0 where both agree. Decoding carries no
    gradient; the paper's inference network writes all tokens at once and passes soft ones on to the teacher.

    Paper: Tu et al. 2020, "ENGINE: Energy-Based Inference Networks for Non-Autoregressive Machine Translation", ACL,
    arXiv:2005.00850, equation 3

    Args:
        fine_tune_fraction: share of the steps for fine-tuning on the rows first, our choice; 0 for a student that was
            fine-tuned.
        max_new_tokens: maximum length of a generated text.
    """
    energy = WeightedTerm("energy", TokenTerm(TokenDivergence("reverse_cross_entropy")))
    source = OnPolicy(1.0, decoding=Decoding(max_new_tokens, temperature=0))
    stage = Stage("engine", (energy,), share=1 - fine_tune_fraction, source=source)
    return Recipe("ENGINE", (*sft_first(fine_tune_fraction), stage))
