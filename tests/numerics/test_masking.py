"""Positions that count."""

from __future__ import annotations

import pytest
import torch

from limbeck.numerics.masking import first_token, last_token, mean_of_tokens


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float32])
def test_the_first_real_token_of_each_row(dtype: torch.dtype) -> None:
    states = torch.arange(4 * 3 * 2, dtype=torch.float32).reshape(4, 3, 2).requires_grad_()
    mask = torch.tensor([[1, 1, 1], [0, 1, 1], [0, 0, 1], [1, 0, 0]]).to(dtype)
    first = first_token(states, mask)
    assert torch.equal(first, torch.stack([states[0, 0], states[1, 1], states[2, 2], states[3, 0]]))
    first.sum().backward()
    assert states.grad is not None
    assert states.grad.sum(dim=2).tolist() == [[2, 0, 0], [0, 2, 0], [0, 0, 2], [2, 0, 0]]


def test_it_is_no_view_that_keeps_all_states_alive() -> None:
    states = torch.zeros(4, 100, 8)
    assert first_token(states, torch.ones(4, 100)).untyped_storage().nbytes() == 4 * 8 * 4


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float32])
def test_the_last_real_token_of_each_row(dtype: torch.dtype) -> None:
    states = torch.arange(4 * 3 * 2, dtype=torch.float32).reshape(4, 3, 2)
    mask = torch.tensor([[1, 1, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]]).to(dtype)
    expected = torch.stack([states[0, 2], states[1, 2], states[2, 1], states[3, 0]])
    assert torch.equal(last_token(states, mask), expected)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float32])
def test_the_mean_of_each_rows_real_tokens(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    states = torch.randn(4, 3, 2, dtype=torch.float64).requires_grad_()
    mask = torch.tensor([[1, 1, 1], [0, 1, 1], [1, 0, 1], [0, 0, 0]]).to(dtype)
    mean = mean_of_tokens(states, mask)
    expected = [states[row][mask[row].bool()].mean(dim=0) for row in range(3)]
    torch.testing.assert_close(mean, torch.stack([*expected, torch.zeros(2, dtype=torch.float64)]))
    mean.sum().backward()
    assert states.grad is not None
    assert states.grad[1].tolist() == [[0, 0], [0.5, 0.5], [0.5, 0.5]]


def test_a_mean_of_many_half_precision_states_keeps_its_digits() -> None:
    states = torch.full((1, 4096, 1), 1.5, dtype=torch.bfloat16)
    mean = mean_of_tokens(states, torch.ones(1, 4096))
    assert mean.dtype == torch.bfloat16
    assert mean.item() == 1.5
