"""Policy gradients over generated tokens: MiniLLM's long term, and REINFORCE for a reward.

The text was generated before the step, so each token's weight (`returns_BT`) and its log-probability under the model
that drew it (`behaviour_log_probs_BT`) are constants; only the student's log-probability of it has a gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.tokens import LogProbTerm
from limbeck.numerics.masking import supervised_positions
from limbeck.types import Batch, Signal

__all__ = ["ClippedPolicyGradient", "PolicyGradient"]


@dataclass(frozen=True)
class PolicyGradient(LogProbTerm):
    """REINFORCE: ``-R log q(y)`` per token, with its return R as given (Williams 1992)."""

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        return -_returns(batch) * self.log_probs(student, batch)


@dataclass(frozen=True)
class ClippedPolicyGradient(LogProbTerm):
    """``max(-A r, -A clip(r, 1 - clip, 1 + clip))`` with ``r = q_new(y) / behaviour(y)``.

    The behaviour is the distribution that the token was drawn from: the student at the time, or its mixture with the
    teacher. r is thus MiniLLM's weight ``w_t = q(y_t) / behaviour(y_t)`` times the ratio of PPO.

    Reference: Gu et al., "MiniLLM: Knowledge Distillation of Large Language Models", ICLR 2024, section 2.2;
    Schulman et al. 2017 (PPO), equation 7.
    """

    clip: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.clip < 1:
            raise ConfigError(f"clip must be between 0 and 1, not {self.clip}")

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        supervised_BT = supervised_positions(batch)
        advantage_S = _returns(batch)
        ratio_S = torch.exp(self.log_probs(student, batch) - batch["behaviour_log_probs_BT"][supervised_BT].detach())
        clipped_S = ratio_S.clamp(1 - self.clip, 1 + self.clip)
        return torch.maximum(-advantage_S * ratio_S, -advantage_S * clipped_S)


def _returns(batch: Batch) -> Tensor:
    """Return the weight of each supervised token, ``[S]``: 0 in a step in which the student generated nothing."""
    supervised_BT = supervised_positions(batch)
    if "returns_BT" not in batch:
        return torch.zeros(int(supervised_BT.sum()), device=supervised_BT.device)
    return batch["returns_BT"][supervised_BT].detach()
