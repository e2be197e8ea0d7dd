"""Divergences between two categorical distributions given as logits.

Both distributions are keyword-only and named by role, since a swapped pair is
the classic silent mistake. Natural logarithms; float32 (or float64 if given)
whatever the dtype of the logits; the last dimension is the distribution.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["forward_kl"]


def forward_kl(*, teacher_logits: Tensor, student_logits: Tensor, loss_temperature: float = 1.0) -> Tensor:
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

    Returns:
        ``[...]`` nats, at least 0, and 0 when both distributions are equal.

    Example:
        >>> t, s = torch.tensor([2.0, 1.0, 0.1, -1.0]), torch.tensor([1.0, 1.5, 0.2, -0.5])
        >>> round(forward_kl(teacher_logits=t, student_logits=s).item(), 5)
        0.24628
    """
    dtype = torch.promote_types(student_logits.dtype, torch.float32)
    teacher_log_probs = torch.log_softmax(teacher_logits.detach().to(dtype) / loss_temperature, dim=-1)
    student_log_probs = torch.log_softmax(student_logits.to(dtype) / loss_temperature, dim=-1)
    teacher_probs = teacher_log_probs.exp()
    # Both sides are masked before the product: 0 * (-inf) is NaN, in the value and in the gradient.
    possible = teacher_probs > 0
    log_ratio = teacher_log_probs.masked_fill(~possible, 0.0) - student_log_probs.masked_fill(~possible, 0.0)
    return loss_temperature**2 * (teacher_probs * log_ratio).sum(dim=-1)
