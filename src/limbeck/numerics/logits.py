"""Computing logits of some rows of a source into a buffer, and gradients back through the head.

Logits are float32 (float64 if the source is) whatever the source's dtype; its matrix products run in its weight's
dtype, or in autocast's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from limbeck.types import DenseLogits, LazyLogits

__all__ = [
    "FullLogits",
    "SourceGradient",
    "all_rows",
    "blocks",
    "detached",
    "head_slope",
    "logit_chunks",
    "logits_dtype",
    "matmul_dtype",
    "may_rule_out",
    "rows_per_chunk",
    "source_tensors",
    "with_tensors",
    "write_logits",
]

FullLogits = DenseLogits | LazyLogits
"""Sources with the logits of every token."""

_CHUNK_BYTES = 64 * 2**20
"""Bytes of one buffer of logits. Matrix products with fewer rows are slow (at 128k tokens: 32 MiB reach 65 % of a
core's peak, 64 MiB 84 %, 128 MiB 85 %); more rows cost memory."""
_CHUNK_MULTIPLE = 16
"""Chunks are a multiple of this many rows, where possible: matrix products are faster."""
_BLOCK_ELEMENTS = 2**17
"""Elements processed at a time on a CPU: a few temporaries of that size stay in a core's cache."""


def rows_per_chunk(vocabulary: int, dtype: torch.dtype) -> int:
    """Return how many rows of logits fit the byte budget, at least 1."""
    rows = max(1, _CHUNK_BYTES // (vocabulary * dtype.itemsize))
    return rows - rows % _CHUNK_MULTIPLE if rows > _CHUNK_MULTIPLE else rows


def logit_chunks(
    source: FullLogits, rows_S: Tensor, *, dtype: torch.dtype, chunk_rows: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield row numbers and their logits, a chunk at a time, from a `detached` source.

    All chunks share one buffer, which the caller may overwrite.
    """
    step = rows_per_chunk(source.vocabulary, dtype) if chunk_rows is None else chunk_rows
    buffer_RV = torch.empty(min(step, len(rows_S)), source.vocabulary, dtype=dtype, device=rows_S.device)
    for start in range(0, len(rows_S), step):
        rows_R = rows_S[start : start + step]
        yield rows_R, write_logits(source, rows_R, buffer_RV[: len(rows_R)])


def blocks(logits_RV: Tensor) -> Iterator[slice]:
    """Yield the rows of a chunk a few at a time, for element-wise work in the cache; on a GPU, all at once."""
    rows, vocabulary = logits_RV.shape
    step = max(1, _BLOCK_ELEMENTS // vocabulary) if logits_RV.device.type == "cpu" else max(1, rows)
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))


def source_tensors(source: FullLogits) -> tuple[Tensor | None, ...]:
    """Return the tensors that can have a gradient: the logits, or hidden states, weight and bias."""
    if isinstance(source, DenseLogits):
        return (source.logits_SV,)
    return source.hidden_SD, source.weight_VD, source.bias_V


def with_tensors(source: FullLogits, tensors: Sequence[Tensor | None]) -> FullLogits:
    """Return the source with other `source_tensors`."""
    if isinstance(source, DenseLogits):
        (logits_SV,) = tensors
        assert logits_SV is not None
        return DenseLogits(logits_SV)
    hidden_SD, weight_VD, bias_V = tensors
    assert hidden_SD is not None
    assert weight_VD is not None
    return replace(source, hidden_SD=hidden_SD, weight_VD=weight_VD, bias_V=bias_V)


def all_rows(source: FullLogits) -> Tensor:
    """Return the row numbers ``0 .. S - 1`` on the source's device."""
    tensor = source.logits_SV if isinstance(source, DenseLogits) else source.hidden_SD
    return torch.arange(source.rows, device=tensor.device)


def logits_dtype(source: FullLogits) -> torch.dtype:
    """Return the dtype of computed logits: float32, or float64 for a float64 source."""
    tensor = source.logits_SV if isinstance(source, DenseLogits) else source.weight_VD
    return torch.promote_types(tensor.dtype, torch.float32)


def matmul_dtype(source: FullLogits) -> torch.dtype:
    """Return the dtype of the source's matrix products: autocast's where it is on, else the weight's."""
    tensor = source.logits_SV if isinstance(source, DenseLogits) else source.weight_VD
    device = tensor.device.type
    if torch.is_autocast_enabled(device) and tensor.dtype != torch.float64:
        return torch.get_autocast_dtype(device)
    return tensor.dtype


def detached(source: FullLogits, dtype: torch.dtype) -> FullLogits:
    """Return the source without its graph, ready for matrix products in `dtype`."""
    if isinstance(source, DenseLogits):
        return DenseLogits(source.logits_SV.detach())
    return with_tensors(source, [None if t is None else t.detach().to(dtype) for t in source_tensors(source)])


def may_rule_out(source: FullLogits) -> bool:
    """Whether logits of -inf are possible: given logits, or a bias of -inf."""
    return isinstance(source, DenseLogits) or source.bias_V is not None


def write_logits(source: FullLogits, rows_R: Tensor, out_RV: Tensor) -> Tensor:
    """Write the logits of some rows of a `detached` source into `out_RV` and return it."""
    if isinstance(source, DenseLogits):
        return out_RV.copy_(source.logits_SV[rows_R])
    hidden_RD, weight_DV, bias_V = source.hidden_SD[rows_R], source.weight_VD.T, source.bias_V
    scale = source.scale if source.softcap is None else 1.0
    if weight_DV.dtype == out_RV.dtype:
        torch.mm(hidden_RD, weight_DV, out=out_RV)
    else:
        out_RV.copy_(hidden_RD @ weight_DV)
    if bias_V is not None:
        out_RV.add_(bias_V)
    if scale != 1:
        out_RV.mul_(scale)
    if source.softcap is not None:
        out_RV.div_(source.softcap).tanh_().mul_(source.softcap * source.scale)
    return out_RV


def head_slope(source: FullLogits, logits_rV: Tensor) -> Tensor | float:
    """Return the derivative of logits computed by `source` by the output of its matrix product and bias."""
    if isinstance(source, DenseLogits):
        return 1.0
    if source.softcap is None:
        return source.scale
    tanh_rV = logits_rV / (source.softcap * source.scale)
    return tanh_rV.square_().neg_().add_(1.0).mul_(source.scale)


class SourceGradient:
    """Gradients of a loss by the tensors of a `detached` source, accumulated chunk by chunk.

    Sums over rows are kept in float32 (float64), whatever the products are computed in. Only gradients that are
    `needed`, one flag for each of `source_tensors`, cost anything.
    """

    def __init__(self, source: FullLogits, needed: Sequence[bool]) -> None:
        self._source = source
        wide = [torch.promote_types(t.dtype, torch.float32) if t is not None else None for t in source_tensors(source)]
        if isinstance(source, DenseLogits):
            wide = [source.logits_SV.dtype]  # written, never summed
        self.tensors: list[Tensor | None] = [
            None if tensor is None or not need else torch.zeros_like(tensor, dtype=dtype)
            for tensor, need, dtype in zip(source_tensors(source), needed, wide, strict=True)
        ]
        """The gradients, None if not needed; 0 in rows that were never added."""

    @property
    def needed(self) -> bool:
        """Whether there is any gradient to accumulate."""
        return any(tensor is not None for tensor in self.tensors)

    def add(self, rows_R: Tensor, gradient_RV: Tensor) -> None:
        """Add the rows `rows_R`, given the gradient by the logits, or by a head's product and bias."""
        if isinstance(self._source, DenseLogits):
            (logits_SV,) = self.tensors
            assert logits_SV is not None
            logits_SV[rows_R] = gradient_RV.to(logits_SV.dtype)
            return
        hidden_SD, weight_VD, bias_V = self.tensors
        if bias_V is not None:
            bias_V.add_(gradient_RV.sum(dim=0))
        if hidden_SD is None and weight_VD is None:
            return
        dtype = self._source.weight_VD.dtype
        # Gradients of 1e-8 are 0 in float16. GradScaler would prevent it, but acts only after this product.
        unit = gradient_RV.abs().amax().clamp(min=1e-30) if dtype == torch.float16 else None
        factor_RV = (gradient_RV if unit is None else gradient_RV / unit).to(dtype)
        if hidden_SD is not None:
            product_RD = (factor_RV @ self._source.weight_VD).to(hidden_SD.dtype)
            hidden_SD[rows_R] = product_RD if unit is None else product_RD.mul_(unit)
        if weight_VD is None:
            return
        hidden_RD = self._source.hidden_SD[rows_R]
        if weight_VD.dtype == dtype:
            weight_VD.addmm_(factor_RV.T, hidden_RD)
        else:
            product_VD = (factor_RV.T @ hidden_RD).to(weight_VD.dtype)
            weight_VD.add_(product_VD if unit is None else product_VD.mul_(unit))
