"""On-policy distillation: the teacher scores what the student generates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from limbeck.losses.policy import PolicyGradient
from limbeck.losses.term import WeightedTerm
from limbeck.losses.tokens import TokenTerm
from limbeck.models.generate import Decoding
from limbeck.numerics.token_losses import TokenDivergence
from limbeck.recipes.recipe import Recipe
from limbeck.recipes.text_stages import sft_first
from limbeck.sequences.given import GivenRows, TeacherWritten
from limbeck.sequences.on_policy import OnPolicy
from limbeck.stages.stage import Stage
from limbeck.types import CompletionSource

__all__ = ["gkd"]


def gkd(
    *,
    on_policy_fraction: Annotated[float, Field(ge=0, le=1)] = 0.5,
    beta: Annotated[float, Field(ge=0, le=1)] = 0.5,
    fine_tune_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.25,
    otherwise: Literal["data", "teacher"] = "data",
    max_new_tokens: Annotated[int, Field(ge=1)] = 128,
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0,
    reward: str | None = None,
    reward_weight: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> Recipe:
    """Generalised Jensen-Shannon divergence, on the student's own texts in a share of the steps.

    With a reward, equation 5 of the paper: ``reward_weight`` times the expected reward of the student's texts, minus
    ``1 - reward_weight`` times the divergence, whatever the share of steps. The reward counts only in the steps on the
    student's own texts, so its weight there is ``reward_weight / on_policy_fraction``. A text's weight is its reward
    minus the mean of the step's other texts, and dropout is off.

    Paper: Agarwal et al. 2024, "On-Policy Distillation of Language Models: Learning from Self-Generated Mistakes",
    ICLR, arXiv:2306.13649, algorithm 1; with a reward: section 3.1, equation 5

    Args:
        on_policy_fraction: lambda; 1 uses no completions of the rows after fine-tuning.
        beta: beta of the divergence; 0 is the forward and 1 the reverse KL.
        fine_tune_fraction: share of the steps for fine-tuning on the rows first; 0 for a student that was fine-tuned.
        otherwise: source of the completions in the other steps.
        max_new_tokens: maximum length of a generated text.
        temperature: sampling temperature; the loss has temperature 1. With a reward it must be 1.
        reward: a function ``my.module:function`` of prompts and completions (lists of text) that returns numbers.
        reward_weight: 1 - alpha in equation 5.

    Raises:
        ConfigError: a reward with a temperature other than 1, or without any texts of the student.
    """
    source = OnPolicy(
        on_policy_fraction,
        decoding=Decoding(max_new_tokens, temperature),
        reward=reward,
        otherwise=TeacherWritten(Decoding(max_new_tokens)) if otherwise == "teacher" else GivenRows(),
    )
    share = reward_weight if reward is not None else 0.0
    divergence = TokenTerm(TokenDivergence("jensen_shannon", beta=beta), reduction="sequence")
    terms = [WeightedTerm("divergence", divergence, weight=1 - share)]
    if reward is not None:
        gradient = PolicyGradient(reduction="sum_per_sequence", sources=(CompletionSource.STUDENT,))
        terms.append(WeightedTerm("reward", gradient, weight=share / on_policy_fraction))
    stage = Stage(
        "gkd",
        tuple(terms),
        share=1 - fine_tune_fraction,
        source=source,
        # The text was drawn from the student without dropout, not from one of its dropout masks.
        settings={} if reward is None else {"dropout": 0.0},
    )
    return Recipe("GKD", (*sft_first(fine_tune_fraction), stage))
