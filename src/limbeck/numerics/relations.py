"""Divergences between relations: what each token attends to among queries, keys or values of one layer.

A relation is ``softmax(A B^T / sqrt(E))``, row by row. With a number for each head and pair of tokens it is far
larger than what it is computed from, so loss and gradient are computed in one pass for some heads at a time, in closed
form; backward only scales the gradients by A and B.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["Relation", "regrouped", "relation_kl"]

_CHUNK, _CHUNK_OF_CPU = 2**24, 2**18
"""Pairs of tokens at a time; a few tensors of this size exist at once. On a CPU they should stay in its cache."""


class Relation(NamedTuple):
    """Two sides of a relation, ``[B, H, T, E]``: the tokens that look, and those that are looked at."""

    first: Tensor
    second: Tensor


def regrouped(x: Tensor, heads: int) -> Tensor:
    """Return vectors with their heads joined and split into `heads` others, ``[B, G, T, E] -> [B, H, T, G E / H]``.

    >>> regrouped(torch.arange(6.0).view(1, 2, 1, 3), heads=3).flatten(1).tolist()
    [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]
    """
    batch, _, tokens, _ = x.shape
    return x.transpose(1, 2).reshape(batch, tokens, heads, -1).transpose(1, 2)


def relation_kl(*, teacher: Relation, student: Relation, read_BT: Tensor, causal: bool) -> Tensor:
    """Return ``sum_{h,t} KL(relation_T[h, t] || relation_S[h, t]) / (H T')`` of each sequence, ``[B]``, in nats.

    t runs over the sequence's T' tokens without padding, and so do the tokens that a relation is over; with `causal`
    only those up to t. Widths E of the two may differ, numbers of heads may not. Computed in float32, also under
    autocast (float64 stays float64). No gradient reaches the teacher. A sequence without tokens has 0.

    Reference: Wang et al. 2020, "MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained
    Transformers", arXiv:2002.10957, equations 6 to 9; with heads by `regrouped` Wang et al. 2021, "MiniLMv2",
    arXiv:2012.15828, equations 4 to 6.

    Args:
        teacher: queries, keys or values of one layer, any two of them or one twice.
        student: the same of the student.
        read_BT: which positions hold a token and not padding, bool.
        causal: whether tokens look only at themselves and earlier ones.

    Example:
        >>> values_T, values_S = torch.tensor([[[[1.0, 0.0], [1.0, 1.0]]]]), torch.tensor([[[[1.0, 0, 0], [0, 1, 0]]]])
        >>> read_BT = torch.ones(1, 2, dtype=torch.bool)
        >>> kl = relation_kl(teacher=Relation(values_T, values_T), student=Relation(values_S, values_S),
        ...                  read_BT=read_BT, causal=False)
        >>> round(kl.item(), 6)
        0.021494
    """
    heads = student.first.shape[1]
    assert teacher.first.shape[:3] == student.first.shape[:3]
    gradient = torch.is_grad_enabled() and any(x.requires_grad for x in student)
    call = _Call(Relation(*(x.detach() for x in teacher)), read_BT, causal, gradient)
    total_B: Tensor = _RelationKL.apply(*student, call)  # type: ignore[no-untyped-call]
    return total_B / (heads * read_BT.sum(dim=1)).clamp(min=1)


class _Call(NamedTuple):
    """Arguments of one call that autograd does not see."""

    teacher: Relation
    read_BT: Tensor
    causal: bool
    gradient: bool


class _RelationKL(torch.autograd.Function):
    """The sum over heads and tokens of each sequence, ``[B]``."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, call: _Call) -> Tensor:
        exact = torch.promote_types(first.dtype, torch.float32)
        batch, heads, tokens, _ = first.shape
        # One head of one sequence after the other, N = B H of them.
        own, other = (Relation(*(x.to(exact).flatten(0, 1) for x in both)) for both in ((first, second), call.teacher))
        row_N = torch.arange(batch, device=first.device).repeat_interleave(heads)
        total_N = own.first.new_empty(batch * heads)
        gradients = tuple(torch.empty_like(x) for x in own) if call.gradient else ()
        pairs = _CHUNK_OF_CPU if first.device.type == "cpu" else _CHUNK
        size = max(1, pairs // max(1, tokens**2))
        with torch.autocast(first.device.type, enabled=False):
            for start in range(0, batch * heads, size):
                part = slice(start, start + size)
                own_part, other_part = (Relation(*(x[part] for x in both)) for both in (own, other))
                read_NT = call.read_BT[row_N[part]]
                total_N[part], slope_NTT = _divergence(own_part, other_part, read_NT, causal=call.causal)
                if gradients:
                    gradients[0][part] = slope_NTT @ own_part.second
                    gradients[1][part] = slope_NTT.mT @ own_part.first
        ctx.save_for_backward(*(x.view(batch, heads, tokens, -1) for x in gradients))
        ctx.dtypes = first.dtype, second.dtype
        return total_N.view(batch, heads).sum(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream_B: Tensor) -> tuple[Tensor | None, ...]:
        each = upstream_B[:, None, None, None]
        gradients = ctx.saved_tensors
        return *((each * x).to(dtype) for x, dtype in zip(gradients, ctx.dtypes, strict=True)), None


def _divergence(own: Relation, other: Relation, read_NT: Tensor, *, causal: bool) -> tuple[Tensor, Tensor]:
    """Return the sum over tokens for each of N heads, ``[N]``, and its gradient by the products of the two sides."""
    hidden_NTT = ~read_NT[:, None, :]
    if causal:
        hidden_NTT = hidden_NTT | torch.ones_like(hidden_NTT[0].expand(read_NT.shape[1], -1)).triu(1)
    # As good as -inf, since exp gives exactly 0, but differences of logarithms are finite, also where nothing is seen.
    lowest = torch.finfo(own.first.dtype).min / 2
    log_q, log_p = (
        (both.first @ both.second.mT).mul_(both.first.shape[-1] ** -0.5).masked_fill_(hidden_NTT, lowest)
        .log_softmax(dim=-1)
        for both in (own, other)
    )  # fmt: skip
    p = log_p.exp()
    total_NT = (log_p - log_q).mul_(p).sum(dim=-1).masked_fill_(~read_NT, 0.0)
    weight_NT = read_NT.to(p.dtype) * own.first.shape[-1] ** -0.5
    return total_NT.sum(dim=1), log_q.exp_().sub_(p).mul_(weight_NT[..., None])
