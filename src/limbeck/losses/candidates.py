"""Terms on the scores of candidates: the teacher's scores, and rewards.

Scores are ``student["logits"]``, ``[B, K]``, with ``-inf`` where a row has fewer candidates; those
positions add nothing to any value or gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from limbeck.errors import ConfigError, near_misses
from limbeck.losses.term import Output, Term
from limbeck.numerics.policy_gradient import (
    actor_critic_loss,
    gold_reward,
    reciprocal_rank_reward,
    sample_actions,
)
from limbeck.types import Batch, Needs, Signal

__all__ = ["AdvantageActorCritic", "CandidateMSE"]

Outputs = Literal["logits", "probs"]
Reward = Literal["gold", "reciprocal_rank"]


@dataclass(frozen=True)
class CandidateMSE(Term):
    """Squared distance from the teacher's scores of the same candidates: ``sum_k (y_T - y_S)_k^2`` of each row.

    The sum, not the mean, over candidates (Hughes et al. 2025, doi 10.5281/zenodo.15232962). The teacher
    is detached.
    """

    suits = frozenset[Output](("candidates",))

    outputs: Outputs = "logits"
    """What y is: the scores, or their softmax."""
    centred: bool = True
    """Subtract the mean over a row's candidates from its scores first, on both sides: rankings and softmax ignore
    it, and a scorer's bias is free. (Probabilities have the same mean anyway.)"""

    def __post_init__(self) -> None:
        _one_of("outputs", self.outputs, get_args(Outputs))

    @property
    def needs(self) -> Needs:
        return Needs(logits=True)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        real_BK = batch["candidates_BK"]
        teacher_BK = self._outputs(teacher["logits"].detach(), real_BK)
        return (teacher_BK - self._outputs(student["logits"], real_BK)).square().sum(dim=-1)

    def _outputs(self, scores_BK: Tensor, real_BK: Tensor) -> Tensor:
        """Return the outputs to compare, 0 at positions without a candidate."""
        scores_BK = _float(scores_BK)
        if self.outputs == "probs":
            return torch.softmax(scores_BK.masked_fill(~real_BK, -torch.inf), dim=-1)
        scores_BK = scores_BK.masked_fill(~real_BK, 0.0)
        if self.centred:
            mean_B1 = scores_BK.sum(dim=-1, keepdim=True) / real_BK.sum(dim=-1, keepdim=True)
            scores_BK = (scores_BK - mean_B1).masked_fill(~real_BK, 0.0)
        return scores_BK


@dataclass(frozen=True)
class AdvantageActorCritic(Term):
    """A2C with one-step episodes: draw a candidate from ``pi = softmax(z)`` and learn from its reward.

    ``-A log pi(a) + value_weight (R - V)^2 - entropy_weight H(pi)`` of each labelled row, with the critic's
    ``V = student["value_B"]`` and ``A = R - V`` detached. Gold answers enter through the reward alone.

    Candidates are drawn with torch's random numbers on the CPU, which the trainer seeds and keeps in its
    checkpoints: the draws are the same on every device, differ between training seeds, and are not changed by
    stopping and resuming a stage.
    """

    suits = frozenset[Output](("candidates",))

    value_weight: float = 0.5
    entropy_weight: float = 0.01
    reward: Reward = "gold"
    """1 for a right candidate, else 0; or the reciprocal rank of the gold answer with the drawn one on top."""
    standardise: bool = True
    """Over the micro-batch's counted rows, if there are at least 8. The only term whose rows depend on
    each other, so the step's loss depends on how it is split into micro-batches."""

    def __post_init__(self) -> None:
        for name, weight in (("value_weight", self.value_weight), ("entropy_weight", self.entropy_weight)):
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"{name} must be a number of at least 0, not {weight}")
        _one_of("reward", self.reward, get_args(Reward))

    @property
    def needs(self) -> Needs:
        return Needs(labels=True)

    def mask(self, batch: Batch) -> Tensor:
        return _labelled(batch)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        logits_BK, gold_BK = student["logits"], batch["gold_BK"]
        action_B = sample_actions(logits_BK)
        if self.reward == "gold":
            reward_B = gold_reward(gold_BK, action_B)
        else:
            reward_B = reciprocal_rank_reward(logits_BK, gold_BK, action_B)
        return actor_critic_loss(
            logits_BK,
            action_B,
            reward_B,
            student["value_B"],
            value_weight=self.value_weight,
            entropy_weight=self.entropy_weight,
            standardise=self.standardise,
            mask_B=self.mask(batch),
        ).total


def _labelled(batch: Batch) -> Tensor:
    return (batch["gold_BK"] > 0).any(dim=-1)


def _float(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name}: unknown value '{value}'; {near_misses(value, known)}")
