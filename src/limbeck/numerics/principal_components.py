"""Vectors of fewer dimensions that keep as much of the variance as there can be kept."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["reduced"]

_ROWS = 8192
"""Rows that are in double precision at a time."""


def reduced(vectors_ND: Tensor, width: int) -> Tensor:
    """Return the coordinates ``[N, width]`` of vectors, less their mean, along their first principal components.

    Distances between rows stay as they are if the centred vectors have at most this rank: up to the mean and a
    rotation nothing is lost. Components are from the eigenvectors of the ``[D, D]`` covariance, in float64; each
    points to where its largest entry is positive, so that equal vectors give equal coordinates.

    Args:
        vectors_ND: N vectors, any floating type.
        width: at most D.

    Returns:
        In the type of the vectors, on the CPU.

    Example:
        >>> reduced(torch.tensor([[3.0, 4.0], [0.0, 0.0], [-3.0, -4.0]]), 1).flatten().tolist()
        [5.0, 0.0, -5.0]
    """
    size = vectors_ND.shape[1]
    assert 1 <= width <= size
    mean_D = torch.stack([chunk.sum(dim=0) for chunk in _chunks(vectors_ND)]).sum(dim=0) / len(vectors_ND)
    covariance_DD = torch.zeros(size, size, dtype=torch.float64)
    for chunk in _chunks(vectors_ND):
        covariance_DD += (chunk - mean_D).T @ (chunk - mean_D)
    components_DK = torch.linalg.eigh(covariance_DD).eigenvectors.flip(1)[:, :width]
    largest_K = components_DK.abs().argmax(dim=0)
    components_DK = components_DK * components_DK[largest_K, torch.arange(width)].sign()
    return torch.cat([((chunk - mean_D) @ components_DK).to(vectors_ND.dtype) for chunk in _chunks(vectors_ND)])


def _chunks(vectors_ND: Tensor) -> Iterator[Tensor]:
    return (chunk.detach().cpu().double() for chunk in torch.split(vectors_ND, _ROWS))
