"""Principal components: nothing is lost at the true rank, and the most is kept below it."""

from __future__ import annotations

import pytest
import torch

from limbeck.numerics.principal_components import reduced


def vectors(rows: int, width: int, rank: int, seed: int = 0) -> torch.Tensor:
    """Vectors whose differences have a rank, around a mean that is not 0."""
    torch.manual_seed(seed)
    factors = torch.randn(rank, width, dtype=torch.float64) * torch.arange(1, rank + 1)[:, None]
    return torch.randn(rows, rank, dtype=torch.float64) @ factors + 3 * torch.randn(width, dtype=torch.float64)


@pytest.mark.parametrize("width", [3, 5, 8])
def test_at_the_true_rank_vectors_are_reconstructed_up_to_their_mean(width: int) -> None:
    table = vectors(40, 8, 3)
    found, centred = reduced(table, width), table - table.mean(dim=0)
    assert found.shape == (40, width)
    back = found @ torch.linalg.lstsq(found, centred).solution
    torch.testing.assert_close(back, centred, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(torch.cdist(found, found), torch.cdist(table, table), rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(width, dtype=torch.float64), rtol=0, atol=1e-12)


def test_below_it_coordinates_are_those_of_the_singular_value_decomposition() -> None:
    table = vectors(40, 8, 6)
    left, values, _ = torch.linalg.svd(table - table.mean(dim=0), full_matrices=False)
    expected = left[:, :2] * values[:2]
    found = reduced(table, 2)
    torch.testing.assert_close(found.abs(), expected.abs(), rtol=1e-8, atol=1e-8)
    assert found.var(dim=0)[0] > found.var(dim=0)[1]


def test_chunks_and_order_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    table = vectors(40, 8, 6)
    whole = reduced(table, 3)
    monkeypatch.setattr("limbeck.numerics.principal_components._ROWS", 7)
    torch.testing.assert_close(reduced(table, 3), whole)
    torch.testing.assert_close(reduced(table.flip(0), 3).flip(0), whole)
    assert reduced(table.half(), 3).dtype == torch.float16
