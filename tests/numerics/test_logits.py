"""Logits of some rows and the way of a gradient back: what the tests of the chunked path cannot see."""

from __future__ import annotations

import pytest
import torch

from limbeck.numerics import logits
from limbeck.numerics.logits import (
    SourceGradient,
    blocks,
    detached,
    head_slope,
    logit_chunks,
    matmul_dtype,
    rows_per_chunk,
    write_logits,
)
from limbeck.types import DenseLogits, LazyLogits


def lazy(dtype: torch.dtype = torch.float64, **options: float) -> LazyLogits:
    generator = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(n, 3, dtype=torch.float64, generator=generator).to(dtype) for n in (4, 5))
    return LazyLogits(hidden, weight, **options)


def test_rows_of_a_chunk_fit_the_budget_and_are_at_least_one() -> None:
    for vocabulary in (32_000, 128_256, 151_936):
        for dtype in (torch.float32, torch.float64):
            rows = rows_per_chunk(vocabulary, dtype)
            assert rows % 16 == 0
            assert 0.8 < rows * vocabulary * dtype.itemsize / (64 * 2**20) <= 1
    assert rows_per_chunk(10**9, torch.float32) == 1


def test_chunks_share_one_buffer_and_cover_the_rows_that_were_asked_for() -> None:
    rows, places = [], set()
    for rows_R, logits_RV in logit_chunks(lazy(), torch.tensor([3, 0, 1]), dtype=torch.float64, chunk_rows=2):
        torch.testing.assert_close(logits_RV, lazy().hidden_SD[rows_R] @ lazy().weight_VD.T)
        rows += rows_R.tolist()
        places.add(logits_RV.data_ptr())
    assert rows == [3, 0, 1]
    assert len(places) == 1


def test_blocks_cover_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logits, "_BLOCK_ELEMENTS", 11)
    assert list(blocks(torch.empty(5, 5))) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert list(blocks(torch.empty(2, 100))) == [slice(0, 1), slice(1, 2)]
    assert list(blocks(torch.empty(5, 5, device="meta"))) == [slice(0, 5)]


@pytest.mark.parametrize("options", [{}, {"softcap": 2.0}, {"scale": 0.3}, {"softcap": 2.0, "scale": 0.3}], ids=str)
def test_slope_is_the_derivative_of_the_logits(options: dict[str, float]) -> None:
    source = lazy(**options)
    step = 1e-6
    one = torch.ones(4, 1, dtype=torch.float64)

    def written(shift: float) -> torch.Tensor:
        wide = LazyLogits(
            torch.cat([source.hidden_SD, shift * one], 1),
            torch.cat([source.weight_VD, torch.ones(5, 1, dtype=torch.float64)], 1),
            **options,  # type: ignore[arg-type]
        )
        return write_logits(wide, torch.arange(4), torch.empty(4, 5, dtype=torch.float64))

    slope = torch.as_tensor(head_slope(source, written(0.0)), dtype=torch.float64).expand(4, 5)
    torch.testing.assert_close((written(step) - written(-step)) / (2 * step), slope, rtol=1e-6, atol=1e-8)


def test_gradients_too_small_for_float16_are_not_lost() -> None:
    source = lazy(torch.float16)
    gradient = 1e-9 * torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    sums = SourceGradient(source, [True, True, False])
    sums.add(torch.arange(4), gradient)
    hidden, weight, bias = sums.tensors
    assert bias is None
    torch.testing.assert_close(hidden, gradient @ source.weight_VD.float(), rtol=1e-2, atol=1e-12)
    torch.testing.assert_close(weight, gradient.T @ source.hidden_SD.float(), rtol=1e-2, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_sums_over_chunks_are_kept_in_float32(dtype: torch.dtype) -> None:
    source = lazy(dtype)
    sums = SourceGradient(source, [True, True, False])
    for _ in range(300):
        sums.add(torch.arange(4), torch.ones(4, 5))
    once = SourceGradient(source, [True, True, False])
    once.add(torch.arange(4), torch.ones(4, 5))
    assert sums.tensors[1] is not None
    assert once.tensors[1] is not None
    assert sums.tensors[1].dtype == torch.float32
    torch.testing.assert_close(sums.tensors[1], 300 * once.tensors[1])


def test_products_run_in_autocasts_dtype_but_never_lower_a_float64_source() -> None:
    assert matmul_dtype(lazy(torch.float32)) == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert matmul_dtype(lazy(torch.float32)) == torch.bfloat16
        assert matmul_dtype(lazy(torch.float64)) == torch.float64
    ready = detached(lazy(torch.float32), torch.bfloat16)
    assert isinstance(ready, LazyLogits)
    assert ready.hidden_SD.dtype == ready.weight_VD.dtype == torch.bfloat16
    dense = detached(DenseLogits(torch.zeros(1, 2)), torch.bfloat16)
    assert isinstance(dense, DenseLogits)
    assert dense.logits_SV.dtype == torch.float32
