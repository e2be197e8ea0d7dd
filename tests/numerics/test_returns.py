"""Returns of written tokens, against the sums written out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from limbeck.numerics.returns import future_returns, less_others_mean, whitened

REWARDS = (-0.5, 0.2, -0.3, 0.1)
"""Of section 8's oracle."""
ALL = torch.ones(1, 4, dtype=torch.bool)


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def written_out(rewards: list[float], *, inclusive: bool, discount: float, normalise: bool) -> list[float]:
    """The definition, term by term."""
    found = []
    for t in range(len(rewards)):
        start = t if inclusive else t + 1
        weights = [discount**i for i in range(len(rewards) - start)]
        total = sum(w * r for w, r in zip(weights, rewards[start:], strict=True))
        found.append(total / sum(weights) if normalise and weights else total)
    return found


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (0.0, -0.1, 0.1, 0.0)),
        ({"inclusive": True}, (-0.125, 0.0, -0.1, 0.1)),
        ({"normalise": False}, (0.0, -0.2, 0.1, 0.0)),
        ({"inclusive": True, "normalise": False}, (-0.5, 0.0, -0.2, 0.1)),
        ({"discount": 0.5, "normalise": False}, (0.075, -0.25, 0.1, 0.0)),
    ],
)
def test_golden_values(options: dict[str, float], expected: tuple[float, ...]) -> None:
    torch.testing.assert_close(
        future_returns(row(*REWARDS), ALL, **options),  # type: ignore[arg-type]
        row(*expected),
    )


@given(
    rewards=st.lists(st.floats(-10, 10), min_size=1, max_size=7),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    inclusive=st.booleans(),
    discount=st.sampled_from([1.0, 0.95, 0.3]),
    normalise=st.booleans(),
)
def test_any_row_with_whatever_around_it(
    rewards: list[float], before: int, after: int, inclusive: bool, discount: float, normalise: bool
) -> None:
    """A prompt stands before the tokens and padding after them; neither counts, even if not finite."""
    options = {"inclusive": inclusive, "discount": discount, "normalise": normalise}
    rewards_BT = row(*[float("nan")] * before, *rewards, *[float("inf")] * after)
    mask_BT = torch.tensor([[False] * before + [True] * len(rewards) + [False] * after])
    returns_BT = future_returns(rewards_BT, mask_BT, **options)  # type: ignore[arg-type]
    expected = row(*[0.0] * before, *written_out(rewards, **options), *[0.0] * after)  # type: ignore[arg-type]
    torch.testing.assert_close(returns_BT, expected, rtol=1e-9, atol=1e-9)


def test_rows_do_not_see_each_other() -> None:
    rewards_BT = torch.tensor([[1.0, 2.0, 3.0, 9.0], [7.0, -1.0, 4.0, 2.0]], dtype=torch.float64)
    mask_BT = torch.tensor([[True, True, True, False], [False, True, True, True]])
    expected_BT = torch.tensor([[2.5, 3.0, 0.0, 0.0], [0.0, 3.0, 2.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(future_returns(rewards_BT, mask_BT), expected_BT)


def test_a_row_without_tokens_has_returns_of_0() -> None:
    assert future_returns(row(*REWARDS), ~ALL).tolist() == [[0.0] * 4]


def test_whitened_values_have_mean_0_and_variance_1_over_all_processes() -> None:
    values_N = torch.tensor([1.0, 2.0, 5.0, 8.0, -3.0], dtype=torch.float64)
    expected_N = (values_N - values_N.mean()) / (values_N.var(correction=0) + 1e-8).sqrt()
    torch.testing.assert_close(whitened(values_N), expected_N)
    for part in (slice(0, 2), slice(2, 5)):
        sums = iter([[float(values_N.sum()), 5.0], [float((values_N - values_N.mean()).square().sum())]])
        asked: list[int] = []

        def add_up(numbers: Sequence[float], sums: Any = sums, asked: Any = asked) -> list[float]:
            asked.append(len(numbers))
            return next(sums)

        torch.testing.assert_close(whitened(values_N[part], add_up), expected_N[part])
        assert asked == [2, 1]


@pytest.mark.parametrize("values", [[3.0, 3.0], [3.0], []], ids=["equal", "one", "none"])
def test_values_without_variance_become_0(values: list[float]) -> None:
    assert whitened(torch.tensor(values)).tolist() == [0.0] * len(values)


def test_each_reward_is_less_the_mean_of_the_others() -> None:
    rewards_N = torch.tensor([3.0, 4.0, -2.0, -2.0], dtype=torch.float64)
    expected_N = torch.tensor([3 - 0.0, 4 + 1 / 3, -2 - 5 / 3, -2 - 5 / 3], dtype=torch.float64)
    torch.testing.assert_close(less_others_mean(rewards_N, 3.0, 4), expected_N)
    torch.testing.assert_close(less_others_mean(rewards_N[:1], 3.0, 4), expected_N[:1])
    assert less_others_mean(rewards_N[:1], 3.0, 1).tolist() == [3.0]
    equal_N = torch.full((5,), 0.1, dtype=torch.float64)
    torch.testing.assert_close(less_others_mean(equal_N, 0.5, 5), torch.zeros(5, dtype=torch.float64))
