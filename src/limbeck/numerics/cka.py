"""How alike two representations of the same rows are: centred kernel alignment."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["LEAST_ROWS", "layer_similarity", "unbiased_cka"]

LEAST_ROWS = 4
"""Fewer have no unbiased estimate."""


def unbiased_cka(first_ND: Tensor, second_ND: Tensor) -> Tensor:
    """Return the linear centred kernel alignment of two representations of N rows, a float64 scalar of at most 1.

    ``HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))``, ``K = X X^T``, ``L = Y Y^T``, with the unbiased estimator of HSIC. It
    does not change if either is rotated, shifted or scaled as a whole. Independent representations have about 0, also
    below it; the usual, biased estimate is near 1 for those with more dimensions than rows. A representation that is
    the same for all rows has 0.

    Reference: Kornblith et al. 2019, "Similarity of Neural Network Representations Revisited", arXiv:1905.00414; the
    estimator: Song et al. 2012, "Feature Selection via Dependence Maximization", as used by Nguyen et al. 2021, "Do
    Wide and Deep Networks Learn the Same Things?", arXiv:2010.15327.

    Args:
        first_ND: one row each, at least four.
        second_ND: the same rows; its width may be another.
    """
    return layer_similarity([first_ND], [second_ND])[0, 0]


def layer_similarity(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Return `unbiased_cka` of each representation in `first` with each in `second`, float64 ``[first, second]``."""
    one, other = (torch.stack([_u_centred(states_ND) for states_ND in states]) for states in (first, second))
    products = torch.einsum("fij,sij->fs", one, other)
    norms = [x.square().sum(dim=(1, 2)).sqrt() for x in (one, other)]
    scale = norms[0][:, None] * norms[1]
    return torch.where(scale > 0, products / scale.where(scale > 0, 1.0), 0.0)


def _u_centred(states_ND: Tensor) -> Tensor:
    """Return the U-centred matrix of inner products ``[N, N]``: the sum of two such, cell by cell, is N (N - 3) HSIC.

    Of a matrix with an empty diagonal, each row's and column's sum over ``N - 2`` is taken off, and the sum of all
    over ``(N - 1)(N - 2)`` is put back; the diagonal stays empty.
    """
    rows = len(states_ND)
    assert rows >= LEAST_ROWS, f"{rows} rows"
    centred_ND = states_ND.double() - states_ND.double().mean(dim=0)  # changes nothing but rounding errors
    products_NN = (centred_ND @ centred_ND.T).fill_diagonal_(0.0)
    by_row_N = products_NN.sum(dim=1) / (rows - 2)
    whole = products_NN.sum() / ((rows - 1) * (rows - 2))
    return (products_NN - by_row_N - by_row_N[:, None] + whole).fill_diagonal_(0.0)
