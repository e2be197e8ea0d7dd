"""The gradient through a step, against the specification's example and against differentiating through the step."""

from __future__ import annotations

import pytest
import torch

from limbeck.numerics.hypergradient import hypergradient, trial_step


def test_the_example_of_the_specification() -> None:
    """L_S = (w - t)^2 / 2, quiz (w' - y)^2 / 2, w = 0, t = 1, y = 2, rates 0.1 and 1."""
    w, t = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (0.0, 1.0))
    step = trial_step((w - t) ** 2 / 2, [w], 0.1)
    assert step.ends[0].item() == pytest.approx(0.1)
    assert w.item() == 0
    slope = torch.autograd.grad((step.ends[0] - 2) ** 2 / 2, step.ends)
    (found,) = hypergradient(step, slope, [t])
    assert found.item() == pytest.approx(-0.19)
    taught = t.item() - 1.0 * found.item()
    assert taught == pytest.approx(1.19)
    assert w.item() - 0.1 * (w.item() - taught) == pytest.approx(0.119)


def test_it_is_the_derivative_through_the_step_and_nothing_where_nothing_depends() -> None:
    generator = torch.Generator().manual_seed(0)
    w, unused, t, far = (torch.randn(4, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(4))

    def taught(w: torch.Tensor) -> torch.Tensor:
        return ((w * t).tanh().sum() - t.square().sum()) ** 2 + w.exp().sum()

    step = trial_step(taught(w), [w, unused], 0.3)
    quiz = torch.randn(4, generator=generator, dtype=torch.float64)
    slope = torch.autograd.grad((step.ends[0] * quiz).sin().sum(), step.ends, materialize_grads=True)
    found = hypergradient(step, slope, [t, far])
    (gradient,) = torch.autograd.grad(taught(w), [w], create_graph=True)
    (expected,) = torch.autograd.grad((((w - 0.3 * gradient) * quiz).sin()).sum(), [t])
    torch.testing.assert_close(found[0], expected, rtol=1e-12, atol=1e-14)
    assert torch.equal(found[1], torch.zeros(4, dtype=torch.float64))
    assert torch.equal(step.ends[1], unused)
