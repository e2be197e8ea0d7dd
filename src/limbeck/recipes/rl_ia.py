"""Instruction alignment by reinforcement learning, a baseline of cross-lingual distillation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from limbeck.losses.candidates import AdvantageActorCritic
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import RankingOptions, Recipe
from limbeck.sequences.given import GivenRows
from limbeck.stages.stage import Stage

__all__ = ["rl_ia"]

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def rl_ia(
    *,
    reward: Literal["gold", "reciprocal_rank"] = "gold",
    value_weight: float = 0.5,
    entropy_weight: float = 0.01,
    learning_rate: _Positive = 1e-5,
    max_grad_norm: _Positive = 0.5,
) -> Recipe:
    """Advantage actor-critic starting from the English model: ``-A log pi(a) + v (R - V)^2 - e H(pi)``.

    An episode is one record, an action one candidate drawn from ``pi = softmax(z)``, the reward 1 for a right
    one. Gold answers are seen only through rewards.

    Paper: the baseline RL-IA of Hughes et al. 2025, doi 10.5281/zenodo.15232962; actor-critic after Mnih et
    al. 2016, "Asynchronous Methods for Deep Reinforcement Learning", arXiv:1602.01783

    Args:
        reward: 1 or 0; or the reciprocal rank of the gold answer.
        value_weight: v.
        entropy_weight: e.
        learning_rate: learning rate of this stage.
        max_grad_norm: maximum gradient norm of this stage.
    """
    term = AdvantageActorCritic(value_weight=value_weight, entropy_weight=entropy_weight, reward=reward)
    settings = {"learning_rate": learning_rate, "max_grad_norm": max_grad_norm}
    terms = (WeightedTerm("actor_critic", term),)
    return Recipe(
        title="RL-IA",
        stages=(Stage("reinforce", terms, source=GivenRows("source+target"), settings=settings),),
        starts_from="teacher",
        options=RankingOptions(critic=True),
    )
