"""Divergences between two categorical distributions given as logits: the dense, differentiable reference.

Both distributions are keyword-only and named by role, since a swapped pair is the classic silent mistake: p is the
teacher's, q the student's. Natural logarithms; float32 (or float64 if given) whatever the dtype of the logits; the
last dimension is the distribution; no gradient reaches the teacher.

**Temperature.** Both logits are divided by ``loss_temperature`` (T), and the value is multiplied by T^2, so that the
soft gradient keeps its scale (Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015,
arXiv:1503.02531, section 2). That holds for every divergence here, so that they all mix with other losses in the same
way; ``temperature_squared=False`` leaves the factor out, as papers that train on a divergence alone do.

**Impossible tokens.** A ``-inf`` logit (a padded vocabulary, a banned token) gives a probability of 0 and
contributes nothing where both sides have it. If only one side has it, its log-probability counts as
`TEACHER_FLOOR` or `STUDENT_FLOOR`, which keeps values and gradients finite; gradients have the same formulas as
without a floor.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "STUDENT_FLOOR",
    "TEACHER_FLOOR",
    "adaptive_kl",
    "alpha_beta",
    "forward_kl",
    "head_weight",
    "interpolated_kl",
    "jensen_shannon",
    "logit_mse",
    "probability_mse",
    "reverse_cross_entropy",
    "reverse_kl",
    "skew_forward_kl",
    "skew_reverse_kl",
    "soft_cross_entropy",
    "total_variation",
]

TEACHER_FLOOR = -1e4
"""Lowest log-probability of the teacher, in nats: the cost in a reverse KL of mass on a token that it rules out."""
STUDENT_FLOOR = -1e5
"""The same for the student. Lower, since finite logits of +-1e4 are 2e4 apart, and the forward KL must show it."""


def forward_kl(
    *, teacher_logits: Tensor, student_logits: Tensor, loss_temperature: float = 1.0, temperature_squared: bool = True
) -> Tensor:
    """Return ``T^2 KL(p_T || q_T)`` per distribution, with ``p_T = softmax(teacher_logits / T)``.

    The factor T^2 keeps the scale of the soft gradient comparable across temperatures
    (d/d student_logits = T (q_T - p_T)).

    Reference: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015,
    arXiv:1503.02531, section 2.

    Args:
        teacher_logits: ``[..., C]``, any float dtype; no gradient flows into it. ``-inf`` marks a
            class the teacher rules out; it contributes nothing (0 log 0 := 0).
        student_logits: ``[..., C]``.
        loss_temperature: T > 0.
        temperature_squared: multiply by T^2.

    Returns:
        ``[...]`` nats, at least 0, and 0 when both distributions are equal.

    Example:
        >>> t, s = torch.tensor([2.0, 1.0, 0.1, -1.0]), torch.tensor([1.0, 1.5, 0.2, -0.5])
        >>> round(forward_kl(teacher_logits=t, student_logits=s).item(), 5)
        0.24628
    """
    log_p, log_q = _log_probs(teacher_logits, student_logits, loss_temperature)
    return _factor(loss_temperature, temperature_squared) * _kl(log_p, log_q)


def reverse_kl(
    *, teacher_logits: Tensor, student_logits: Tensor, loss_temperature: float = 1.0, temperature_squared: bool = True
) -> Tensor:
    """Return ``KL(q || p)`` per distribution, times T^2: ``[..., V] -> [...]`` nats, 0 when both are equal.

    Its gradient flows through both factors of ``q log q``: ``q_i (log(q_i / p_i) - KL(q || p))``.
    Arguments as in `forward_kl`.

    Reference: Gu, Dong, Wei, Huang, "MiniLLM: Knowledge Distillation of Large Language Models", 2024,
    arXiv:2306.08543, section 2.1 (for sequences; this is the term of one token).
    """
    log_p, log_q = _log_probs(teacher_logits, student_logits, loss_temperature)
    return _factor(loss_temperature, temperature_squared) * _kl(log_q, log_p)


def jensen_shannon(
    *,
    teacher_logits: Tensor,
    student_logits: Tensor,
    beta: float = 0.5,
    normalise: bool = False,
    loss_temperature: float = 1.0,
    temperature_squared: bool = True,
) -> Tensor:
    """Return ``beta KL(p || m) + (1 - beta) KL(q || m)``, ``m = beta p + (1 - beta) q``: ``[..., V] -> [...]`` nats.

    beta weights the teacher. The formula goes to 0 at both ends; what converges are ``JSD / beta`` to ``KL(p || q)``
    and ``JSD / (1 - beta)`` to ``KL(q || p)``. So beta = 0 is `forward_kl` and beta = 1 is `reverse_kl`, and near an
    end beta acts as a learning rate unless `normalise` divides by ``beta (1 - beta)``, which is continuous there.
    Without it the value is at most the entropy of (beta, 1 - beta). Other arguments as in `forward_kl`.

    Reference: Agarwal et al., "On-Policy Distillation of Language Models: Learning from Self-Generated Mistakes"
    (GKD), 2024, arXiv:2306.13649, section 2; `normalise` is ours.

    Args:
        teacher_logits: ``[..., V]``.
        student_logits: ``[..., V]``.
        beta: from 0 to 1.
        normalise: divide by ``beta (1 - beta)``; changes nothing at beta 0 and 1.
        loss_temperature: T > 0.
        temperature_squared: multiply by T^2.
    """
    factor = _factor(loss_temperature, temperature_squared)
    log_p, log_q = _log_probs(teacher_logits, student_logits, loss_temperature)
    if beta == 0:
        return factor * _kl(log_p, log_q)
    if beta == 1:
        return factor * _kl(log_q, log_p)
    log_m = _log_mixture(log_p, log_q, beta)
    value = beta * _kl(log_p, log_m) + (1 - beta) * _kl(log_q, log_m)
    return factor * value / (beta * (1 - beta) if normalise else 1.0)


def interpolated_kl(
    *,
    teacher_logits: Tensor,
    student_logits: Tensor,
    beta: float,
    loss_temperature: float = 1.0,
    temperature_squared: bool = True,
) -> Tensor:
    """Return ``KL(p_t || q)`` with ``p_t = softmax(t log p + (1 - t) log q)``, times T^2: ``[..., V] -> [...]`` nats.

    No gradient flows through p_t, though it contains q: by the softened logits it is ``q - p_t``. With t = 1 it
    is the forward KL, with t = 0 it is 0.

    Args:
        teacher_logits: as in `forward_kl`.
        student_logits: as in `forward_kl`.
        beta: t, the teacher's weight, from 0 to 1.
        loss_temperature: T > 0, for both models, applied before mixing.
        temperature_squared: multiply by T^2.

    Reference: Shing, Misaki, Bao, Yokoi, Akiba, "TAID: Temporally Adaptive Interpolated Distillation for Efficient
    Knowledge Transfer in Language Models", 2025, arXiv:2501.16937, section 3.
    """
    log_p, log_q = _log_probs(teacher_logits, student_logits, loss_temperature)
    log_between = torch.log_softmax(torch.lerp(log_q.detach(), log_p, beta), dim=-1)
    return _factor(loss_temperature, temperature_squared) * _kl(log_between, log_q)


def total_variation(
    *, teacher_logits: Tensor, student_logits: Tensor, loss_temperature: float = 1.0, temperature_squared: bool = True
) -> Tensor:
    """Return ``1/2 sum |p - q|`` per distribution, times T^2: ``[..., V] -> [...]``, from 0 to 1 (at T = 1).

    Its subgradient is 0 where p = q. Arguments as in `forward_kl`.

    Reference: Wen, Li, Du, Mou, "f-Divergence Minimization for Sequence-Level Knowledge Distillation", 2023,
    arXiv:2307.15190, section 3.
    """
    log_p, log_q = _log_probs(teacher_logits, student_logits, loss_temperature)
    return _factor(loss_temperature, temperature_squared) * (log_p.exp() - log_q.exp()).abs().sum(dim=-1) / 2


def skew_forward_kl(
    *,
    teacher_logits: Tensor,
    student_logits: Tensor,
    alpha: float = 0.1,
    loss_temperature: float = 1.0,
    temperature_squared: bool = True,
) -> Tensor:
    """Return ``KL(p || alpha p + (1 - alpha) q)``, times T^2: ``[..., V] -> [...]`` nats, at most ``-log alpha``.

    alpha lies strictly between 0 and 1. The entropy of p is part of the value, so it is 0 when both are
    equal (the authors' code leaves it out). Other arguments as in `forward_kl`.

    Reference: Ko, Kim, Chen, Yun, "DistiLLM: Towards Streamlined Distillation for Large Language Models", 2024,
    arXiv:2402.03898, section 3.1.
    """
    log_p, log_q = _log_probs(teacher_logits, student_logits, loss_temperature)
    return _factor(loss_temperature, temperature_squared) * _kl(log_p, _log_mixture(log_p, log_q, alpha))


def skew_reverse_kl(
    *,
    teacher_logits: Tensor,
    student_logits: Tensor,
    alpha: float = 0.1,
    loss_temperature: float = 1.0,
    temperature_squared: bool = True,
) -> Tensor:
    """Return ``KL(q || (1 - alpha) p + alpha q)``, times T^2: ``[..., V] -> [...]`` nats, at most ``-log alpha``.

    Arguments and reference as in `skew_forward_kl`.
    """
    log_p, log_q = _log_probs(teacher_logits, student_logits, loss_temperature)
    return _factor(loss_temperature, temperature_squared) * _kl(log_q, _log_mixture(log_q, log_p, alpha))


def alpha_beta(
    *,
    teacher_logits: Tensor,
    student_logits: Tensor,
    alpha: float,
    beta: float,
    loss_temperature: float = 1.0,
    temperature_squared: bool = True,
) -> Tensor:
    """Return the alpha-beta divergence, times T^2: ``[..., V] -> [...]``, 0 when both are equal.

    ``-1 / (alpha beta) sum [p^alpha q^beta - alpha / (alpha + beta) p^(alpha + beta) - beta / (alpha + beta)
    q^(alpha + beta)]``, with alpha and beta above 0. Limits: (1, 0) is the forward KL, (0, 1) the reverse KL.
    Other arguments as in `forward_kl`.

    Reference: Wang et al., "ABKD: Pursuing a Proper Allocation of the Probability Mass in Knowledge Distillation via
    alpha-beta-Divergence", 2025, arXiv:2505.04560, section 4.
    """
    log_p, log_q = _log_probs(teacher_logits, student_logits, loss_temperature)
    both = alpha + beta
    cross = (alpha * log_p + beta * log_q).exp()
    own = (alpha / both) * (both * log_p).exp() + (beta / both) * (both * log_q).exp()
    return _factor(loss_temperature, temperature_squared) * (own - cross).sum(dim=-1) / (alpha * beta)


def adaptive_kl(
    *,
    teacher_logits: Tensor,
    student_logits: Tensor,
    head_mass: float = 0.5,
    loss_temperature: float = 1.0,
    temperature_squared: bool = True,
) -> Tensor:
    """Return ``w KL(p || q) + (1 - w) KL(q || p)``, times T^2: ``[..., V] -> [...]`` nats, 0 when both are equal.

    w is the share of ``sum |p - q|`` on the head, the teacher's most likely tokens (`head_weight`). It has no
    gradient. Other arguments as in `forward_kl`.

    Reference: Wu, Tao, Wang, Yang, Zhao, Wong, "Rethinking Kullback-Leibler Divergence in Knowledge Distillation for
    Large Language Models", COLING 2025, arXiv:2404.02657, section 4 (its mu is our `head_mass`, 0.5).
    """
    log_p, log_q = _log_probs(teacher_logits, student_logits, loss_temperature)
    weight = head_weight(log_p.exp(), log_q.detach().exp(), head_mass)
    value = weight * _kl(log_p, log_q) + (1 - weight) * _kl(log_q, log_p)
    return _factor(loss_temperature, temperature_squared) * value


def head_weight(teacher_probs: Tensor, student_probs: Tensor, head_mass: float) -> Tensor:
    """Return how much of the gap ``sum |p - q|`` lies on the head: ``[..., V] -> [...]``, 0.5 if there is no gap.

    The head is the smallest set of tokens that holds `head_mass` of the teacher's probability. If the teacher has a
    bucket for all its unlikely tokens, the bucket counts as one token.
    """
    sorted_probs, order = teacher_probs.sort(dim=-1, descending=True)
    gap = (teacher_probs - student_probs).abs_()
    # A token is in the head while those before it do not hold the mass yet.
    before = sorted_probs.cumsum(dim=-1).sub_(sorted_probs)
    head = (gap.gather(-1, order) * (before < head_mass)).sum(dim=-1)
    total = gap.sum(dim=-1)
    return torch.where(total > 0, head / total.clamp(min=torch.finfo(total.dtype).tiny), 0.5)


def soft_cross_entropy(
    *, teacher_logits: Tensor, student_logits: Tensor, loss_temperature: float = 1.0, temperature_squared: bool = True
) -> Tensor:
    """Return ``-sum p log q`` per distribution, times T^2: ``[..., V] -> [...]`` nats.

    The forward KL plus the teacher's entropy: the same gradient, and not 0 when both are equal. Arguments as in
    `forward_kl`.
    """
    log_p, log_q = _log_probs(teacher_logits, student_logits, loss_temperature)
    return -_factor(loss_temperature, temperature_squared) * (log_p.exp() * log_q).sum(dim=-1)


def reverse_cross_entropy(
    *, teacher_logits: Tensor, student_logits: Tensor, loss_temperature: float = 1.0, temperature_squared: bool = True
) -> Tensor:
    """Return ``-sum q log p`` per distribution, times T^2: ``[..., V] -> [...]`` nats.

    The reverse KL plus the student's entropy. It is least where the student is sure of the teacher's most likely
    token, and the student's entropy where both are equal. Its gradient is ``-q_i (log p_i - sum q log p)``.
    Arguments as in `forward_kl`.

    Reference: Tu, Pang, Wiseman, Gimpel, "ENGINE: Energy-Based Inference Networks for Non-Autoregressive Machine
    Translation", 2020, arXiv:2005.00850; as the approximation of a reverse KL: Wen et al. 2023, arXiv:2307.15190.
    """
    log_p, log_q = _log_probs(teacher_logits, student_logits, loss_temperature)
    return -_factor(loss_temperature, temperature_squared) * (log_q.exp() * log_p).sum(dim=-1)


def logit_mse(
    *, teacher_logits: Tensor, student_logits: Tensor, loss_temperature: float = 1.0, temperature_squared: bool = True
) -> Tensor:
    """Return the mean over the vocabulary of ``(logit difference / T)^2``, times T^2: ``[..., V] -> [...]``.

    With the factor, it therefore does not depend on T. A token that either side rules out (``-inf``) adds 0. Adding a
    constant to all logits does change it. Arguments as in `forward_kl`.

    Reference: Tang et al., "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks", 2019,
    arXiv:1903.12136, section 3.2.
    """
    dtype = torch.promote_types(student_logits.dtype, torch.float32)
    teacher_logits, student_logits = teacher_logits.detach().to(dtype), student_logits.to(dtype)
    ruled_out = (teacher_logits == -math.inf) | (student_logits == -math.inf)
    difference = student_logits.masked_fill(ruled_out, 0.0) - teacher_logits.masked_fill(ruled_out, 0.0)
    squares = (difference / loss_temperature).square()
    return _factor(loss_temperature, temperature_squared) * squares.mean(dim=-1)


def probability_mse(
    *, teacher_logits: Tensor, student_logits: Tensor, loss_temperature: float = 1.0, temperature_squared: bool = True
) -> Tensor:
    """Return the mean over the vocabulary of ``(p - q)^2``, times T^2: ``[..., V] -> [...]``.

    Arguments as in `forward_kl`.

    Reference: Zhou, Xu, McAuley, "BERT Learns to Teach: Knowledge Distillation with Meta Learning", 2022,
    arXiv:2106.04570 (as in its released code).
    """
    log_p, log_q = _log_probs(teacher_logits, student_logits, loss_temperature)
    squares = (log_p.exp() - log_q.exp()).square()
    return _factor(loss_temperature, temperature_squared) * squares.mean(dim=-1)


def _factor(loss_temperature: float, temperature_squared: bool) -> float:
    return loss_temperature**2 if temperature_squared else 1.0


def _log_probs(teacher_logits: Tensor, student_logits: Tensor, loss_temperature: float) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(student_logits.dtype, torch.float32)
    log_p = torch.log_softmax(teacher_logits.detach().to(dtype) / loss_temperature, dim=-1)
    log_q = torch.log_softmax(student_logits.to(dtype) / loss_temperature, dim=-1)
    # Finite before any product: 0 * (-inf) is NaN, in the value and in the gradient.
    return log_p.clamp(min=TEACHER_FLOOR), _Floored.apply(log_q)  # type: ignore[no-untyped-call]


class _Floored(torch.autograd.Function):
    """The student's log-probabilities, none below the floor, with the gradient they would have without it.

    The gradient of a clamp would be 0 at the floor, so that of the forward KL would no longer be q - p.
    """

    @staticmethod
    def forward(ctx: Any, log_q: Tensor) -> Tensor:
        return log_q.clamp(min=STUDENT_FLOOR)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def _kl(log_from: Tensor, log_to: Tensor) -> Tensor:
    return (log_from.exp() * (log_from - log_to)).sum(dim=-1)


def _log_mixture(log_one: Tensor, log_other: Tensor, share: float) -> Tensor:
    """Return the log of ``share one + (1 - share) other``; mixing in log space would give another distribution."""
    return torch.logaddexp(log_one + math.log(share), log_other + math.log1p(-share))
