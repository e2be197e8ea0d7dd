"""Attributions of a model's outputs to tokens: which outputs, with which weights, and how two models' are compared."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = [
    "attribution_distance",
    "class_margins",
    "error_slopes",
    "integrated_gradients",
    "path_points",
    "surprise_slopes",
    "token_scores",
]


def path_points(steps: int) -> list[float]:
    """Return the right ends of equal steps from 0 to 1; the last is 1.

    Midpoints are more accurate for as many steps, but one step at its right end needs no run of its own, and AD-KD's
    released code takes these.
    """
    return [step / steps for step in range(1, steps + 1)]


def integrated_gradients(end: Tensor, gradients: Sequence[Tensor]) -> Tensor:
    """Return ``x * mean_k g_k``, g the gradients at the points of the path from 0 to x.

    The sum over x approaches ``F(x) - F(0)`` as steps get more.

    Reference: Sundararajan, Taly, Yan 2017, arXiv:1703.01365, equations 1 and 3.
    """
    return end * torch.stack(list(gradients)).mean(dim=0)


def class_margins(logits_BC: Tensor) -> Tensor:
    """Return ``m_c = log sum_(k != c) exp(z_k) - z_c``; minus the log-probability of class c is ``log(1 + exp(m_c))``.

    Unlike that of a log-probability near 0, its gradient is not lost in rounding. ``[B, C]``; of two classes only the
    first, ``[B, 1]``: the gradients of both are parallel.
    """
    z_BC = _exact(logits_BC)
    classes = z_BC.shape[1]
    if classes == 2:
        return z_BC[:, 1:] - z_BC[:, :1]
    itself_CC = torch.eye(classes, dtype=torch.bool, device=z_BC.device)
    return z_BC[:, None].expand(-1, classes, -1).masked_fill(itself_CC, -torch.inf).logsumexp(dim=-1) - z_BC


def surprise_slopes(margins_BA: Sequence[Tensor]) -> list[Tensor]:
    """Return the slopes of ``log(1 + exp(m))`` in m at each point of a path, over the largest one on it.

    Without that division, which changes only an attribution's scale, those of a model that is sure would vanish.
    """
    slopes_BA = [torch.nn.functional.logsigmoid(_exact(margin)) for margin in margins_BA]
    largest_BA = torch.stack([slope.detach() for slope in slopes_BA]).amax(dim=0)
    return [(slope - largest_BA).exp() for slope in slopes_BA]


def error_slopes(values_BC: Sequence[Tensor], targets_BC: Tensor) -> list[Tensor]:
    """Return the slopes of ``(z - y)^2`` in z at each point of a path, over the largest one on it.

    0 where y is unknown (NaN), or where all errors on the path are 0.
    """
    unknown_BC = torch.isnan(targets_BC)
    errors_BC = [(z - targets_BC.to(z).nan_to_num()).masked_fill(unknown_BC, 0.0) for z in values_BC]
    largest_BC = torch.stack([error.detach().abs() for error in errors_BC]).amax(dim=0)
    return [error / torch.where(largest_BC > 0, largest_BC, 1.0) for error in errors_BC]


def token_scores(attributions_BTD: Tensor, read_BT: Tensor, top: int | None = None) -> Tensor:
    """Return the norm of each token's attributions ``[B, T]``, of the `top` largest components if given; 0 at padding.

    >>> rows = torch.tensor([[[3.0, -4.0, 0.0], [1.0, 2.0, 2.0], [0.0, 0.0, 0.0]]])
    >>> token_scores(rows, torch.ones(1, 3, dtype=torch.bool), top=2)
    tensor([[5.0000, 2.8284, 0.0000]])
    """
    exact = _exact(attributions_BTD).abs()
    if top is not None and top < exact.shape[-1]:
        exact = exact.topk(top, dim=-1).values
    return _norm(exact.masked_fill(~read_BT[..., None], 0.0))


def attribution_distance(*, teacher: Tensor, student: Tensor) -> Tensor:
    """Return ``sum_a (t_a / |t_a| - s_a / |s_a|)^2`` of each token: ``[B, A, T] -> [B, T]``; norms are over tokens.

    An output whose attributions by the teacher are all 0 adds nothing: there is nothing to learn from it.
    """
    target = teacher.detach()
    known = (target != 0).any(dim=-1, keepdim=True)
    distance = (_unit(target) - _unit(student)).square()
    return distance.masked_fill(~known, 0.0).sum(dim=1)


def _exact(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _norm(x: Tensor) -> Tensor:
    """Return ``|x|`` over the last dimension, with a gradient of 0 where x is 0."""
    squared = x.square().sum(dim=-1)
    some = squared > 0
    return torch.where(some, torch.where(some, squared, 1.0).sqrt(), 0.0)


def _unit(scores_BAT: Tensor) -> Tensor:
    """Return scores divided by their norm; all 0 stays 0."""
    x = _exact(scores_BAT)
    largest = x.detach().amax(dim=-1, keepdim=True)
    x = x / torch.where(largest > 0, largest, 1.0)  # the square of a small score underflows
    norm = _norm(x)[..., None]
    return x / torch.where(norm > 0, norm, 1.0)
