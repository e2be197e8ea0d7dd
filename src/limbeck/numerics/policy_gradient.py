"""Policy gradient with a critic, for choosing one of K candidates.

The policy is ``pi = softmax(logits)``; ``-inf`` logits mark candidates that do not exist. They are never
drawn and add nothing to any value or gradient. Natural logarithms; float32 (or float64 if given).

Reference: Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", 2016, arXiv:1602.01783,
section 4 (advantage actor-critic); its synchronous form is known as A2C.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "ActorCriticLoss",
    "actor_critic_loss",
    "gold_reward",
    "reciprocal_rank_reward",
    "sample_actions",
]

_FEWEST_TO_STANDARDISE = 8
"""Fewer advantages do not give a meaningful mean and spread."""
_SMALLEST_SPREAD = 1e-5
"""Advantages that differ only by rounding must not be scaled up to unit spread."""


class ActorCriticLoss(NamedTuple):
    """The loss of each choice and its three parts, unweighted, each ``[B]``."""

    total: Tensor
    policy: Tensor
    """``-A log pi(a)``."""
    value: Tensor
    """``(R - V)^2``."""
    entropy: Tensor
    """``H(pi)`` in nats."""


def actor_critic_loss(
    logits_BK: Tensor,
    action_B: Tensor,
    reward_B: Tensor,
    value_B: Tensor,
    *,
    value_weight: float = 0.5,
    entropy_weight: float = 0.01,
    standardise: bool = False,
    mask_B: Tensor | None = None,
) -> ActorCriticLoss:
    """Return ``-A log pi(a) + value_weight (R - V)^2 - entropy_weight H(pi)`` of each choice, ``A = R - V``.

    The advantage A is detached: the critic learns only from the squared error, and the policy only from
    the first and last part.

    Args:
        logits_BK: scores of the candidates, ``-inf`` for missing ones.
        action_B: the candidate that was chosen, int64.
        reward_B: R, the reward of each choice; no gradient flows into it.
        value_B: V, the critic's estimate of R.
        value_weight: weight of the critic's error.
        entropy_weight: weight of the entropy, which keeps the policy from settling early.
        standardise: shift and scale advantages to mean 0 and standard deviation 1 (n - 1) over the counted
            choices, if at least 8 are counted. The loss of a choice then depends on the others in the batch.
        mask_B: which choices are counted, bool; all by default.

    Example:
        >>> loss = actor_critic_loss(torch.zeros(1, 3), torch.tensor([0]), torch.tensor([1.0]), torch.tensor([0.25]))
        >>> [round(part.item(), 6) for part in loss]
        [1.094223, 0.823959, 0.5625, 1.098612]
    """
    dtype = torch.promote_types(logits_BK.dtype, torch.float32)
    log_probs_BK = torch.log_softmax(logits_BK.to(dtype), dim=-1)
    value_B, reward_B = value_B.to(dtype), reward_B.detach().to(dtype)
    advantage_B = (reward_B - value_B).detach()
    if standardise:
        mask_B = torch.ones_like(action_B, dtype=torch.bool) if mask_B is None else mask_B
        advantage_B = _standardised(advantage_B, mask_B)
    policy_B = -advantage_B * log_probs_BK.gather(-1, action_B[:, None]).squeeze(-1)
    squared_error_B = (reward_B - value_B).square()
    # Masked before the product: 0 * (-inf) is NaN, in the value and in the gradient.
    finite_BK = log_probs_BK.masked_fill(log_probs_BK == -torch.inf, 0.0)
    entropy_B = -(log_probs_BK.exp() * finite_BK).sum(dim=-1)
    total_B = policy_B + value_weight * squared_error_B - entropy_weight * entropy_B
    return ActorCriticLoss(total_B, policy_B, squared_error_B, entropy_B)


def _standardised(advantage_B: Tensor, mask_B: Tensor) -> Tensor:
    """Compute both branches, so as not to wait for the device (no ``item``)."""
    count = mask_B.sum()
    kept_B = advantage_B.masked_fill(~mask_B, 0.0)
    centred_B = (kept_B - kept_B.sum() / count.clamp(min=1)).masked_fill(~mask_B, 0.0)
    spread = (centred_B.square().sum() / (count - 1).clamp(min=1)).sqrt()
    return torch.where(count >= _FEWEST_TO_STANDARDISE, centred_B / spread.clamp(min=_SMALLEST_SPREAD), advantage_B)


def sample_actions(logits_BK: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw one candidate for each row from ``softmax(logits)``, int64 ``[B]``.

    Uses the Gumbel trick: ``argmax(logits + noise)``, with the noise drawn on the CPU by `generator`
    (default: torch's own). The same seed gives the same noise on every device, without waiting for the device.
    """
    exponential_BK = torch.empty(logits_BK.shape).exponential_(generator=generator)
    noise_BK = -exponential_BK.clamp(min=torch.finfo(torch.float32).tiny).log()
    return (logits_BK.detach().float() + noise_BK.to(logits_BK.device)).argmax(dim=-1)


def gold_reward(gold_BK: Tensor, action_B: Tensor) -> Tensor:
    """Return 1 where the chosen candidate is right and 0 elsewhere, float32 ``[B]``.

    The right candidates are those with the most weight in `gold_BK` (all golds of a row have the same
    weight; of graded candidates, the best are right). A row without weights has no right one.
    """
    return _right(gold_BK).gather(-1, action_B[:, None]).squeeze(-1).float()


def reciprocal_rank_reward(logits_BK: Tensor, gold_BK: Tensor, action_B: Tensor) -> Tensor:
    """Return the reciprocal rank of the best right candidate once the chosen one is put on top, float32 ``[B]``.

    1 where the choice is right, else ``1 / (2 + other candidates above + ties / (right ones among them + 1))``.
    (The plain reciprocal rank in `logits_BK` does not depend on the choice, and a reward that does not
    depend on the choice teaches a policy nothing: its expected gradient is 0.) A row without a right
    candidate gives 0.
    """
    right_BK = _right(gold_BK)
    logits_BK = logits_BK.detach()
    best_B1 = logits_BK.masked_fill(~right_BK, -torch.inf).amax(dim=-1, keepdim=True)
    others_BK = (~right_BK).scatter(-1, action_B[:, None], False)
    above_B = (others_BK & (logits_BK > best_B1)).sum(dim=-1)
    level_BK = logits_BK == best_B1
    ties_B = (others_BK & level_BK).sum(dim=-1) / ((right_BK & level_BK).sum(dim=-1) + 1)
    behind_B = 1.0 / (2 + above_B + ties_B)
    chosen_B = right_BK.gather(-1, action_B[:, None]).squeeze(-1)
    return torch.where(chosen_B, 1.0, behind_B.masked_fill(best_B1.squeeze(-1) == -torch.inf, 0.0))


def _right(gold_BK: Tensor) -> Tensor:
    return (gold_BK == gold_BK.amax(dim=-1, keepdim=True)) & (gold_BK > 0)
