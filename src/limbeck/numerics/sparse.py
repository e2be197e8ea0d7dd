"""Distributions given by their K most likely tokens: built from full ones, and compared with full ones.

The rest of a distribution goes into one bucket, the tail, and is never renormalised away: the kept tokens alone,
scaled to sum to 1, are another distribution, and a divergence from it is wrong in both directions. Over the K + 1
cells (K tokens and the bucket) every f-divergence is a lower bound on the one over all tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.numerics.divergences import STUDENT_FLOOR, TEACHER_FLOOR
from limbeck.numerics.logits import FullLogits, all_rows, blocks, detached, logit_chunks, logits_dtype, matmul_dtype
from limbeck.numerics.token_losses import Distribution, soften
from limbeck.types import SparseLogits

__all__ = ["Cells", "captured_mass", "cells", "take", "top_k"]


class Cells(NamedTuple):
    """A few rows of both sides over the teacher's K + 1 cells."""

    teacher: Distribution
    student: Distribution
    spread: Callable[[Tensor], Tensor]
    """Turn a gradient by the cells' logits, `[r, K + 1]`, into one by the student's softened logits, `[r, V]`.
    To be called once."""


@torch.no_grad()
def top_k(source: FullLogits, k: int, temperature: float = 1.0, *, chunk_rows: int | None = None) -> SparseLogits:
    """Return the k most likely tokens of each distribution of ``softmax(logits / temperature)``, and their tail.

    Works in chunks of rows, so that no ``[S, V]`` tensor is created.

    Args:
        source: dense or lazy logits.
        k: tokens to keep, from 1 to the size of the vocabulary.
        temperature: above 0.
        chunk_rows: rows at a time; chosen from a byte budget by default.

    Raises:
        ConfigError: k or temperature is out of range.
    """
    if not 1 <= k <= source.vocabulary:
        raise ConfigError(f"k must be from 1 to the size of the vocabulary, {source.vocabulary}, not {k}")
    if not 0 < temperature < math.inf:
        raise ConfigError(f"temperature must be a number above 0, not {temperature}")
    dtype, rows_S = logits_dtype(source), all_rows(source)
    ids_SK = torch.empty(source.rows, k, dtype=torch.int64, device=rows_S.device)
    log_probs_SK = torch.empty(source.rows, k, dtype=dtype, device=rows_S.device)
    tail_S = torch.empty(source.rows, dtype=dtype, device=rows_S.device)
    ready = detached(source, matmul_dtype(source))
    for rows_R, logits_RV in logit_chunks(ready, rows_S, dtype=dtype, chunk_rows=chunk_rows):
        for block in blocks(logits_RV):
            log_probs_rV, rows_r = torch.log_softmax(logits_RV[block] / temperature, dim=-1), rows_R[block]
            log_probs_SK[rows_r], ids_SK[rows_r] = kept = log_probs_rV.topk(k, dim=-1)
            # Not 1 - sum: for a confident teacher that is rounding error only.
            tail_S[rows_r] = log_probs_rV.scatter_(-1, kept.indices, -math.inf).logsumexp(dim=-1)
    return SparseLogits(ids_SK, log_probs_SK, tail_S, source.vocabulary, temperature)


def captured_mass(sparse: SparseLogits) -> Tensor:
    """Return the total probability of the kept tokens, `[S]`, from 0 to 1."""
    return sparse.log_probs_SK.exp().sum(dim=-1)


def take(sparse: SparseLogits, rows: Tensor | slice) -> SparseLogits:
    """Return some rows."""
    return replace(
        sparse, ids_SK=sparse.ids_SK[rows], log_probs_SK=sparse.log_probs_SK[rows], tail_S=sparse.tail_S[rows]
    )


def cells(teacher: SparseLogits, softened_rV: Tensor) -> Cells:
    """Return both sides over the teacher's K + 1 cells, and the backward function of a gradient.

    Args:
        teacher: for the same rows.
        softened_rV: the student's logits, divided by the teacher's temperature; -inf is allowed.
    """
    ids_rK = teacher.ids_SK
    log_probs_rK = teacher.log_probs_SK.to(softened_rV.dtype)
    tail_r1 = teacher.tail_S[:, None].to(softened_rV.dtype)
    filling_rK = log_probs_rK == -math.inf
    # Padding entries count with the rest; amin, since their ids may be those of real ones.
    ruled_out_rK = torch.where(filling_rK, math.inf, -math.inf).to(softened_rV.dtype)
    rest_rV = softened_rV.scatter_reduce(-1, ids_rK, ruled_out_rK, "amin")
    lowest = torch.finfo(rest_rV.dtype).min
    peak_r1 = rest_rV.amax(dim=-1, keepdim=True).clamp_(min=lowest)  # all tokens may be kept ones
    weights_rV = rest_rV.sub_(peak_r1).exp_()
    sum_r1 = weights_rV.sum(dim=-1, keepdim=True)
    kept_rK = softened_rV.gather(-1, ids_rK).masked_fill_(filling_rK, -math.inf)

    def spread(gradient: Tensor) -> Tensor:
        share_r1 = gradient[:, -1:] / sum_r1.clamp(min=torch.finfo(sum_r1.dtype).tiny)
        return weights_rV.mul_(share_r1).scatter_add_(-1, ids_rK, gradient[:, :-1])

    return Cells(
        teacher=soften(torch.cat([log_probs_rK, tail_r1], dim=-1), 1.0, TEACHER_FLOOR),
        student=soften(torch.cat([kept_rK, peak_r1 + sum_r1.log()], dim=-1), 1.0, STUDENT_FLOOR),
        spread=spread,
    )
