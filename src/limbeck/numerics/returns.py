"""Returns of generated tokens: the rewards that follow each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["future_returns", "less_others_mean", "whitened"]


def future_returns(
    rewards_BT: Tensor, mask_BT: Tensor, *, inclusive: bool = False, discount: float = 1.0, normalise: bool = True
) -> Tensor:
    """Return for each token the sum of the rewards after it, by default divided by their number.

    ``R_t = sum_{t' > t} discount^(t' - t - 1) r_t' / n`` with n the (discounted) number of terms. Gu et al. 2024
    (MiniLLM) give ``1 / (T - t - 1)``, which is 0 or negative for the last two tokens; the sum has T - t terms.

    Args:
        rewards_BT: reward of each token; anything at positions that do not count.
        mask_BT: bool; the tokens of each row, without gaps.
        inclusive: include the token's own reward in its return, as in MiniLLM's released code.
        discount: factor per step on later rewards.
        normalise: divide by the number of terms.

    Returns:
        ``[B, T]``, 0 where the mask is false and for a last token with no reward after it.

    Example:
        >>> r = torch.tensor([[-0.5, 0.2, -0.3, 0.1]])
        >>> [round(x, 4) + 0.0 for x in future_returns(r, r < 1)[0].tolist()]
        [0.0, -0.1, 0.1, 0.0]
    """
    rewards_BT = rewards_BT.masked_fill(~mask_BT, 0.0)
    terms_BT = mask_BT.to(rewards_BT.dtype)
    returns_BT, counts_BT = torch.zeros_like(rewards_BT), torch.zeros_like(rewards_BT)
    ahead_B, number_B = torch.zeros_like(rewards_BT[:, 0]), torch.zeros_like(rewards_BT[:, 0])
    for t in reversed(range(rewards_BT.shape[1])):
        with_own_B = rewards_BT[:, t] + discount * ahead_B
        with_own_number_B = terms_BT[:, t] + discount * number_B
        returns_BT[:, t] = with_own_B if inclusive else ahead_B
        counts_BT[:, t] = with_own_number_B if inclusive else number_B
        ahead_B, number_B = with_own_B, with_own_number_B
    if normalise:
        returns_BT = returns_BT / torch.where(counts_BT > 0, counts_BT, 1.0)
    return returns_BT.masked_fill(~mask_BT, 0.0)


def whitened(values_N: Tensor, add_up: Callable[[Sequence[float]], list[float]] = list) -> Tensor:
    """Return the values with mean 0 and variance 1, over the values of all processes; 0 for a single one.

    Args:
        values_N: this process's values.
        add_up: sums numbers over all processes.
    """
    total, count = add_up([float(values_N.sum()), len(values_N)])
    if count < 2:
        return torch.zeros_like(values_N)
    centred_N = values_N - total / count
    (squares,) = add_up([float(centred_N.square().sum())])
    return centred_N / math.sqrt(squares / count + 1e-8)


def less_others_mean(rewards_N: Tensor, total: float, count: int) -> Tensor:
    """Return each text's reward minus the mean reward of the step's *other* texts.

    The others do not depend on a text's content, so the gradient of a policy stays that of the expected reward. A
    mean that includes the text itself would scale that gradient by ``1 - 1 / count``: to 0 for a single text, which
    here has no baseline.

    Reference: Kool, van Hoof, Welling, "Buy 4 REINFORCE Samples, Get a Baseline for Free!", 2019, section 2.

    Args:
        rewards_N: rewards of some of the step's texts.
        total: sum of the rewards of all the step's texts, these included, over micro-batches and ranks.
        count: number of all the step's texts.
    """
    return rewards_N - (total - rewards_N) / (count - 1) if count > 1 else rewards_N
