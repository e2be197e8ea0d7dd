"""The gradient of a loss after a step, with respect to what the step depended on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["TrialStep", "hypergradient", "trial_step"]


class TrialStep(NamedTuple):
    """A step of gradient descent that was not taken."""

    gradients: tuple[Tensor, ...]
    """With the graph of how they were computed."""
    ends: tuple[Tensor, ...]
    """Where the parameters would be: new leaves, which require a gradient."""
    rate: float


def trial_step(loss: Tensor, parameters: Sequence[Tensor], rate: float) -> TrialStep:
    """Return ``w' = w - rate * dloss/dw`` without changing w, for `hypergradient`.

    Args:
        loss: a scalar; each of its operations must have a second derivative.
        parameters: w.
        rate: of the step.
    """
    gradients = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
    pairs = zip(parameters, gradients, strict=True)
    ends = tuple((w.detach() - rate * gradient.detach()).requires_grad_() for w, gradient in pairs)
    return TrialStep(gradients, ends, rate)


def hypergradient(step: TrialStep, at_ends: Sequence[Tensor], through: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return ``dL(w')/dt = -rate * sum_i (d gradient_i / dt)^T (dL/dw')_i``, exactly, by one more backward pass.

    The graph of L is not needed, only its gradient at w': the two never take memory at the same time.

    Args:
        step: the step from w to w'.
        at_ends: ``dL/dw'`` for each of ``step.ends``.
        through: t, which the loss of the step was computed from.

    >>> w, t = torch.tensor([0.0, 1.0], requires_grad=True).unbind()
    >>> step = trial_step((w - t) ** 2 / 2, [w], rate=0.1)
    >>> slope = torch.autograd.grad((step.ends[0] - 2.0) ** 2 / 2, step.ends)
    >>> [round(x.item(), 4) for x in (*step.ends, *hypergradient(step, slope, [t]))]
    [0.1, -0.19]
    """
    pairs = [(gradient, slope) for gradient, slope in zip(step.gradients, at_ends, strict=True)
             if gradient.requires_grad]  # fmt: skip
    return torch.autograd.grad(
        [gradient for gradient, _ in pairs],
        through,
        grad_outputs=[-step.rate * slope for _, slope in pairs],
        materialize_grads=True,
    )
