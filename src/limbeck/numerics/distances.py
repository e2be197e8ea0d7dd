"""Distances between hidden states and between attention scores, computed in float32 or better."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "attention_squared_distance",
    "cosine_distance",
    "difference_of_variances",
    "layer_normalised",
    "mean_squared_distance",
    "normalised_squared_distance",
    "squared_difference_of_means",
]

_SMALLEST_NORM = 1e-12
"""Shorter states count as zero: they have no direction, and their gradient is 0, not NaN or 1/norm."""


def _unit(x: Tensor) -> Tensor:
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    squared = x.square().sum(dim=-1, keepdim=True)
    has_direction = squared > _SMALLEST_NORM**2
    # Make the value safe before the root, whose derivative at 0 is infinite.
    return torch.where(has_direction, x, 0.0) * torch.where(has_direction, squared, 1.0).rsqrt()


def cosine_distance(*, teacher: Tensor, student: Tensor) -> Tensor:
    """Return ``1 - cos(teacher, student)``, ``[..., D] -> [...]``, between 0 and 2; independent of the norms."""
    return 1.0 - (_unit(teacher.detach()) * _unit(student)).sum(dim=-1)


def normalised_squared_distance(*, teacher: Tensor, student: Tensor, reaches_teacher: bool = False) -> Tensor:
    """Return ``mean_d (teacher/|teacher| - student/|student|)_d^2``, ``[..., D] -> [...]``.

    The mean over the D components is the reduction of PKD's released code; the paper's sum is D
    times as large (Sun et al. 2019, arXiv:1908.09355, equation 7). With `reaches_teacher` both sides have a gradient.
    """
    return (_unit(student) - _unit(teacher if reaches_teacher else teacher.detach())).square().mean(dim=-1)


def layer_normalised(x: Tensor) -> Tensor:
    """Return states ``[..., D]`` with mean 0 and variance 1 over their components, without gain and bias."""
    exact = x.to(torch.promote_types(x.dtype, torch.float32))
    return torch.nn.functional.layer_norm(exact, exact.shape[-1:])


def mean_squared_distance(*, teacher: Tensor, student: Tensor, reaches_teacher: bool = False) -> Tensor:
    """Return ``|student - teacher|^2 / D``, ``[..., D] -> [...]``. With `reaches_teacher` both sides have a gradient.

    >>> mean_squared_distance(teacher=torch.tensor([1.0, 2.0]), student=torch.zeros(2)).item()
    2.5
    """
    exact = torch.promote_types(student.dtype, torch.float32)
    fixed = teacher if reaches_teacher else teacher.detach()
    return (student.to(exact) - fixed.to(exact)).square().mean(dim=-1)


def squared_difference_of_means(*, teacher: Tensor, student: Tensor) -> Tensor:
    """Return ``(mean_d student_d - mean_d teacher_d)^2``, ``[..., D] -> [...]``.

    >>> squared_difference_of_means(teacher=torch.tensor([1.0, 2, 3, 6]), student=torch.tensor([0.0, 2, 4, 2])).item()
    1.0
    """
    exact = torch.promote_types(student.dtype, torch.float32)
    return (student.to(exact).mean(dim=-1) - teacher.detach().to(exact).mean(dim=-1)).square()


def difference_of_variances(*, teacher: Tensor, student: Tensor) -> Tensor:
    """Return ``|var_d student_d - var_d teacher_d|`` of the D components, divided by D, ``[..., D] -> [...]``.

    >>> difference_of_variances(teacher=torch.tensor([1.0, 2, 3, 6]), student=torch.tensor([0.0, 2, 4, 2])).item()
    1.5
    """
    exact = torch.promote_types(student.dtype, torch.float32)
    own, other = (x.to(exact).var(dim=-1, correction=0) for x in (student, teacher.detach()))
    return (own - other).abs()


def attention_squared_distance(*, teacher: Tensor, student: Tensor) -> Tensor:
    """Return the mean over heads and seen keys of squared differences, ``[B, H, Q, K] -> [B, Q]``.

    A key counts if both models may attend to it (finite scores). A query without any has 0.

    >>> scores = torch.tensor([[[[1.0, -torch.inf], [1.0, 3.0]]]])
    >>> attention_squared_distance(teacher=scores, student=torch.zeros(1, 1, 2, 2)).tolist()
    [[1.0, 5.0]]
    """
    exact = torch.promote_types(student.dtype, torch.float32)
    seen = torch.isfinite(teacher) & torch.isfinite(student)
    # Filled before the difference: the gradient of inf less inf is NaN.
    own, other = (x.to(exact).masked_fill(~seen, 0.0) for x in (student, teacher.detach()))
    return (own - other).square().sum(dim=(1, 3)) / seen.sum(dim=(1, 3)).clamp(min=1)
