"""Squared distances of outputs: their mean over classes, the temperature, and whom the gradient reaches."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.output_distance import OutputDistance

TEACHER, STUDENT = (2.0, 1.0, 0.1, -1.0), (1.0, 1.5, 0.2, -0.5)


def value(term: OutputDistance, teacher: Any, student: Any) -> Tensor:
    sides = [x if isinstance(x, Tensor) else torch.tensor([x], dtype=torch.float64) for x in (teacher, student)]
    return term.values({"logits": sides[1]}, {"logits": sides[0]}, {})


def by_hand(teacher: tuple[float, ...], student: tuple[float, ...], temperature: float) -> float:
    soft = []
    for logits in (teacher, student):
        powers = [math.exp(z / temperature) for z in logits]
        soft.append([power / sum(powers) for power in powers])
    return temperature**2 * sum((p - q) ** 2 for p, q in zip(*soft, strict=True)) / len(teacher)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_it_is_the_mean_over_classes_times_the_square_of_the_temperature(temperature: float) -> None:
    found = value(OutputDistance(temperature), TEACHER, STUDENT)
    assert found.item() == pytest.approx(by_hand(TEACHER, STUDENT, temperature), rel=1e-12)


def test_values_of_the_reference_vectors() -> None:
    """At T = 1 from the probabilities of the specification; for large T, sum (d - mean d)^2 / C^3, d = t - s."""
    gaps = (0.336969, 0.261695, 0.039857, 0.035417)
    at_one = value(OutputDistance(1.0), TEACHER, STUDENT).item()
    assert at_one == pytest.approx(sum(gap**2 for gap in gaps) / 4, rel=1e-5)
    assert value(OutputDistance(1e4), TEACHER, STUDENT).item() == pytest.approx(0.188437 * 8 / 64, rel=1e-3)


def test_distances_of_logits_have_no_temperature() -> None:
    for temperature in (1.0, 7.0):
        found = value(OutputDistance(temperature, "logits"), TEACHER, STUDENT)
        assert found.item() == pytest.approx((1 + 0.25 + 0.01 + 0.25) / 4, rel=1e-12)


@pytest.mark.parametrize("compared", ["probabilities", "logits"])
def test_gradients_and_whom_they_reach(compared: Any) -> None:
    sides = [torch.tensor([x], dtype=torch.float64, requires_grad=True) for x in (TEACHER, STUDENT)]
    assert torch.autograd.gradcheck(
        lambda t, s: value(OutputDistance(2.0, compared, reaches_teacher=True), t, s), sides
    )
    value(OutputDistance(2.0, compared), *sides).sum().backward()
    assert sides[0].grad is None
    assert sides[1].grad is not None
    assert value(OutputDistance(2.0, compared), sides[0], sides[0]).item() == 0


def test_half_precision_is_computed_in_float32_and_large_logits_stay_finite() -> None:
    low = torch.tensor([TEACHER], dtype=torch.bfloat16)
    assert value(OutputDistance(), low, low + 1).dtype == torch.float32
    far = torch.tensor([[1e4, -1e4]], requires_grad=True)
    found = value(OutputDistance(1.0), -far.detach(), far)
    found.sum().backward()
    assert found.item() == pytest.approx(1.0)
    assert far.grad is not None
    assert torch.isfinite(far.grad).all()


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_temperatures_that_mean_nothing(temperature: float) -> None:
    with pytest.raises(ConfigError, match="loss_temperature must be a number above 0"):
        OutputDistance(temperature)
