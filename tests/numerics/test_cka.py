"""Unbiased centred kernel alignment: values, invariances, and how it differs from the biased one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.numerics.cka import layer_similarity, unbiased_cka


def waves() -> tuple[Tensor, Tensor]:
    """Two smooth representations of eight rows, of widths 3 and 4."""
    i = torch.arange(8, dtype=torch.float64)[:, None]
    wide = torch.sin(1 + 0.7 * i + 1.3 * torch.arange(4))
    wide[:, 0] += 0.1 * i[:, 0]
    return torch.cos(0.5 * i + torch.arange(3)), wide


def biased_cka(x: Tensor, y: Tensor) -> float:
    x, y = x - x.mean(dim=0), y - y.mean(dim=0)
    return float((x.T @ y).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm()))


def hsic(x: Tensor, y: Tensor) -> float:
    """The unbiased estimator as Song et al. print it (equation 5)."""
    n = len(x)
    k, m = ((z @ z.T).fill_diagonal_(0) for z in (x, y))
    inner = (k @ m).trace() + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k.sum(0) @ m.sum(0))
    return float(inner / (n * (n - 3)))


def test_value_of_an_example() -> None:
    narrow, wide = waves()
    assert unbiased_cka(narrow, wide).item() == pytest.approx(0.805718, abs=5e-7)
    assert biased_cka(narrow, wide) == pytest.approx(0.840947, abs=5e-7)


def test_it_is_the_ratio_of_the_printed_estimator() -> None:
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(9, width, generator=generator, dtype=torch.float64) + 3 for width in (5, 2))
    expected = hsic(x, y) / (hsic(x, x) * hsic(y, y)) ** 0.5
    assert unbiased_cka(x, y).item() == pytest.approx(expected, abs=1e-9)


def test_independent_rows_are_not_alike_though_the_biased_estimate_says_so() -> None:
    rng = np.random.default_rng(0)
    rng.standard_normal((4, 4))
    x, y = (torch.from_numpy(rng.standard_normal((50, 200))) for _ in range(2))
    assert unbiased_cka(x, y).item() == pytest.approx(0.042, abs=5e-4)
    assert biased_cka(x, y) == pytest.approx(0.808, abs=5e-4)


def test_rotation_shift_and_scale_change_nothing() -> None:
    narrow, wide = waves()
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
    assert unbiased_cka(wide, -7 * wide @ rotation + 1000).item() == pytest.approx(1)
    assert unbiased_cka(narrow, 0.01 * wide @ rotation - 3).item() == pytest.approx(unbiased_cka(narrow, wide).item())


def test_a_state_that_is_the_same_for_all_rows_is_like_nothing() -> None:
    narrow, _ = waves()
    assert unbiased_cka(narrow, torch.ones(8, 4)).item() == 0


def test_all_pairs_at_once() -> None:
    narrow, wide = waves()
    found = layer_similarity([narrow, wide, wide[:, :1]], [wide, narrow])
    assert found.shape == (3, 2)
    assert found[1, 0].item() == pytest.approx(1)
    assert found[0, 0].item() == pytest.approx(found[1, 1].item())
    assert found[2, 1].item() == pytest.approx(unbiased_cka(wide[:, :1], narrow).item())


def test_half_precision_states_are_compared_in_full() -> None:
    narrow, wide = waves()
    assert unbiased_cka(narrow.bfloat16(), wide.float()).item() == pytest.approx(0.8057, abs=1e-2)
