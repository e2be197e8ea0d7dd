"""Actor-critic: known values, gradients over all actions, sampling, and candidates that do not exist."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from limbeck.numerics.policy_gradient import (
    ActorCriticLoss,
    actor_critic_loss,
    gold_reward,
    reciprocal_rank_reward,
    sample_actions,
)

INF = math.inf


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def uniform(**options: object) -> tuple[ActorCriticLoss, Tensor, Tensor]:
    """Three equal candidates, the first is chosen and right, the critic expects .25."""
    logits, value = double([[0.0, 0.0, 0.0]]).requires_grad_(), double([0.25]).requires_grad_()
    return actor_critic_loss(logits, torch.tensor([0]), double([1.0]), value, **options), logits, value  # type: ignore[arg-type]


def test_parts_and_total_of_three_equal_candidates() -> None:
    loss, _, _ = uniform()
    assert loss.policy.item() == pytest.approx(0.823959, abs=1e-6)
    assert loss.value.item() == pytest.approx(0.5625, abs=1e-12)
    assert loss.entropy.item() == pytest.approx(1.098612, abs=1e-6)
    assert loss.total.item() == pytest.approx(1.094223, abs=1e-6)


def test_weights_scale_their_own_parts() -> None:
    loss, _, _ = uniform(value_weight=2.0, entropy_weight=3.0)
    assert loss.total.item() == pytest.approx(0.823959 + 2 * 0.5625 - 3 * 1.098612, abs=5e-6)


def test_gradient_of_the_policy_part_reaches_the_scores_and_not_the_critic() -> None:
    loss, logits, value = uniform()
    to_logits, to_value = torch.autograd.grad(loss.policy.sum(), (logits, value), allow_unused=True)
    torch.testing.assert_close(to_logits, double([[-0.5, 0.25, 0.25]]))
    assert to_value is None


def test_gradient_of_the_critics_error_reaches_the_critic_alone() -> None:
    loss, logits, value = uniform()
    to_value, to_logits = torch.autograd.grad(loss.value.sum(), (value, logits), allow_unused=True)
    torch.testing.assert_close(to_value, double([-1.5]))  # -2 (R - V)
    assert to_logits is None


def test_total_gradient_is_that_of_finite_differences_with_the_advantage_held_fixed() -> None:
    torch.manual_seed(0)
    logits = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    value = torch.randn(5, dtype=torch.float64, requires_grad=True)
    action, reward = torch.tensor([0, 1, 2, 3, 1]), double([1.0, 0, 0, 1, 0.5])

    def rewarded(scores: Tensor) -> Tensor:
        return actor_critic_loss(scores, action, reward, value.detach()).total

    assert torch.autograd.gradcheck(rewarded, (logits,))
    (to_value,) = torch.autograd.grad(actor_critic_loss(logits, action, reward, value).total.sum(), value)
    torch.testing.assert_close(to_value, (value - reward).detach())


def test_expected_gradient_of_a_constant_reward_is_zero() -> None:
    logits = double([[2.0, 1.0, 0.0, -1.0, -INF]]).requires_grad_()
    probs = torch.softmax(logits.detach(), dim=-1)[0]
    expected = torch.zeros(1, 5, dtype=torch.float64)
    for action in range(4):
        loss = actor_critic_loss(logits, torch.tensor([action]), double([0.7]), double([0.2]))
        expected += probs[action] * torch.autograd.grad(loss.policy.sum(), logits)[0]
    torch.testing.assert_close(expected, torch.zeros_like(expected))


def test_expected_gradient_climbs_the_expected_reward() -> None:
    logits = double([[0.3, -0.2, 1.0]]).requires_grad_()
    rewards = double([1.0, 0.0, 0.25])
    probs = torch.softmax(logits, dim=-1)[0]
    (ascent,) = torch.autograd.grad((probs * rewards).sum(), logits, retain_graph=True)
    expected = torch.zeros(1, 3, dtype=torch.float64)
    for action in range(3):
        loss = actor_critic_loss(logits, torch.tensor([action]), rewards[action : action + 1], double([0.4]))
        expected += probs[action].detach() * torch.autograd.grad(loss.policy.sum(), logits)[0]
    torch.testing.assert_close(expected, -ascent)


def test_missing_candidates_change_nothing_and_get_no_gradient() -> None:
    logits = double([[1.0, -0.5, 0.2]]).requires_grad_()
    padded = double([[1.0, -0.5, 0.2, -INF, -INF]]).requires_grad_()
    arguments = torch.tensor([1]), double([1.0]), double([0.3])
    short, long = actor_critic_loss(logits, *arguments), actor_critic_loss(padded, *arguments)
    for left, right in zip(short, long, strict=True):
        torch.testing.assert_close(left, right)
    (expected,) = torch.autograd.grad(short.total.sum(), logits)
    (found,) = torch.autograd.grad(long.total.sum(), padded)
    torch.testing.assert_close(found, torch.cat([expected, torch.zeros(1, 2, dtype=torch.float64)], dim=1))


def policy_with(advantages: list[float], counted: list[bool] | None = None) -> Tensor:
    """The policy part over two equal candidates, in units of log 2: the advantage that was used."""
    rows = len(advantages)
    loss = actor_critic_loss(
        torch.zeros(rows, 2, dtype=torch.float64),
        torch.zeros(rows, dtype=torch.int64),
        double(advantages),
        torch.zeros(rows, dtype=torch.float64),
        standardise=True,
        mask_B=None if counted is None else torch.tensor(counted),
    )
    return loss.policy / math.log(2)


def test_eight_advantages_are_standardised_and_seven_are_not() -> None:
    eight = [1.0, 0, 0, 0, 1, 0, 1, 0.5]
    mean = sum(eight) / 8
    sd = math.sqrt(sum((a - mean) ** 2 for a in eight) / 7)
    torch.testing.assert_close(policy_with(eight), double([(a - mean) / sd for a in eight]))
    torch.testing.assert_close(policy_with(eight[:7]), double(eight[:7]))


def test_only_counted_rows_are_standardised_and_enough_of_them() -> None:
    eight = [1.0, 0, 0, 0, 1, 0, 1, 0.5]
    found = policy_with([*eight, 1e6], [True] * 8 + [False])
    torch.testing.assert_close(found[:8], policy_with(eight))
    assert policy_with([*eight, 1.0], [True] * 7 + [False] * 2).tolist() == [*eight, 1.0]


def test_equal_advantages_stay_near_zero_and_finite() -> None:
    rows = 64
    loss = actor_critic_loss(
        torch.zeros(rows, 2), torch.zeros(rows, dtype=torch.int64), torch.ones(rows), torch.full((rows,), 0.3),
        standardise=True,
    )  # fmt: skip
    assert loss.policy.abs().max() < 0.05


def test_half_precision_is_computed_in_float32() -> None:
    logits = torch.tensor([[1e4, -1e4, -INF]], dtype=torch.bfloat16, requires_grad=True)
    loss = actor_critic_loss(logits, torch.tensor([0]), torch.tensor([1.0]), torch.tensor([0.5], dtype=torch.bfloat16))
    loss.total.sum().backward()
    assert loss.total.dtype == torch.float32
    assert loss.total.isfinite().all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_actions_are_drawn_as_often_as_the_policy_says() -> None:
    row = torch.tensor([2.0, 1.0, 0.0, -1.0, -INF])
    actions = sample_actions(row.expand(40_000, 5), torch.Generator().manual_seed(0))
    shares = torch.bincount(actions, minlength=5) / 40_000
    expected = torch.tensor([0.643914, 0.236883, 0.087144, 0.032059, 0.0])
    assert shares[4] == 0
    torch.testing.assert_close(shares, expected, atol=0.01, rtol=0)


def test_the_same_seed_draws_the_same_and_goes_on_differently() -> None:
    logits = torch.zeros(50, 6)
    first, second = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    draws = [sample_actions(logits, first) for _ in range(2)]
    assert torch.equal(sample_actions(logits, second), draws[0])
    assert not torch.equal(draws[0], draws[1])


@pytest.mark.parametrize(
    ("gold", "rewards"),
    [
        ([0.0, 1.0, 0.0], [0.0, 1.0, 0.0]),
        ([0.5, 0.0, 0.5], [1.0, 0.0, 1.0]),
        ([0.665, 0.245, 0.09], [1.0, 0.0, 0.0]),  # grades 2, 1, 0: the best is right
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
    ],
)
def test_gold_reward_of_each_choice(gold: list[float], rewards: list[float]) -> None:
    found = gold_reward(torch.tensor([gold]).expand(3, 3), torch.arange(3))
    assert found.dtype == torch.float32
    assert found.tolist() == rewards


@pytest.mark.parametrize(
    ("logits", "gold", "rewards"),
    [
        ([2.0, 1.0, 0.0], [1, 0, 0], [1, 1 / 2, 1 / 2]),
        ([2.0, 1.0, 0.0], [0, 1, 0], [1 / 2, 1, 1 / 3]),
        ([2.0, 1.0, 0.0], [0, 0, 1], [1 / 3, 1 / 3, 1]),
        ([0.0, 0.0, 0.0], [1, 0, 0], [1, 1 / 2.5, 1 / 2.5]),  # one of two others is tied with the gold
        ([2.0, 1.0, 0.0], [0, 0.5, 0.5], [1 / 2, 1, 1]),
        ([2.0, 1.0, -INF], [0, 1, 0], [1 / 2, 1, 1 / 3]),
        ([2.0, 1.0, -INF], [0, 0, 1], [0, 0, 1]),
        ([2.0, 1.0, 0.0], [0, 0, 0], [0, 0, 0]),
    ],
)
def test_reciprocal_rank_with_the_choice_on_top(logits: list[float], gold: list[float], rewards: list[float]) -> None:
    found = reciprocal_rank_reward(
        torch.tensor([logits]).expand(3, 3), torch.tensor([gold], dtype=torch.float32).expand(3, 3), torch.arange(3)
    )
    assert found.tolist() == pytest.approx(rewards)
