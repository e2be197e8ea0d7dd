"""Positions that count."""

from __future__ import annotations

import pytest
import torch

from limbeck.numerics.masking import first_token


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
