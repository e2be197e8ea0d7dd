"""Distances between hidden states: published numbers, what they are blind to, and zero vectors."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from limbeck.numerics.distances import (
    cosine_distance,
    difference_of_variances,
    layer_normalised,
    mean_squared_distance,
    normalised_squared_distance,
    squared_difference_of_means,
)

Distance = Callable[..., Tensor]
BOTH = pytest.mark.parametrize("distance", [cosine_distance, normalised_squared_distance])

component = st.floats(-10, 10).filter(lambda x: abs(x) > 1e-3)
pairs_of_states = st.lists(st.tuples(component, component), min_size=2, max_size=6)


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def slow_cosine(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    product = sum(a * b for a, b in zip(first, second, strict=True))
    return product / math.sqrt(sum(a * a for a in first)) / math.sqrt(sum(b * b for b in second))


def test_a_feature_map_in_parts() -> None:
    """The states after a layer norm, their means and their variances are told apart."""
    teacher, student = double((1, 2, 3, 6)), double((0, 2, 4, 2))
    assert mean_squared_distance(teacher=teacher, student=student).item() == 4.5
    normed = mean_squared_distance(teacher=layer_normalised(teacher), student=layer_normalised(student)).item()
    assert normed == pytest.approx(1.244071, abs=1e-5)
    assert squared_difference_of_means(teacher=teacher, student=student).item() == 1.0
    assert difference_of_variances(teacher=teacher, student=student).item() == pytest.approx(1.5)


@pytest.mark.parametrize("distance", [squared_difference_of_means, difference_of_variances])
def test_statistics_of_states(distance: Distance) -> None:
    torch.manual_seed(0)
    teacher, student = torch.randn(2, 3, 5, dtype=torch.float64), torch.randn(2, 3, 5, dtype=torch.float64)
    found = distance(teacher=teacher.requires_grad_(), student=student.requires_grad_())
    assert found.shape == (2, 3)
    found.sum().backward()
    assert teacher.grad is None
    start = student.detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distance(teacher=teacher, student=x), (start,))
    assert distance(teacher=student, student=student).abs().max() == 0
    half = distance(teacher=teacher.bfloat16(), student=student.bfloat16())
    assert half.dtype == torch.float32


def test_cosine_distance_of_the_reference_vectors() -> None:
    assert cosine_distance(teacher=double((1, 2, 2)), student=double((2, 0, 1))).item() == pytest.approx(
        0.403715, abs=1e-6
    )


def test_squared_distance_of_the_reference_vectors_is_a_mean_over_components() -> None:
    mean = normalised_squared_distance(teacher=double((1, 2, 2)), student=double((2, 0, 1))).item()
    assert mean == pytest.approx(0.269143, abs=1e-6)
    assert 3 * mean == pytest.approx(0.807430, abs=1e-6)


@pytest.mark.parametrize(("factor", "expected"), [(0.5, 0.0), (7.0, 0.0), (-0.5, 2.0), (-7.0, 2.0)])
def test_cosine_distance_of_a_multiple(factor: float, expected: float) -> None:
    state = double((1, -2, 0.5))
    assert cosine_distance(teacher=state, student=factor * state).item() == pytest.approx(expected, abs=1e-12)


@given(pairs_of_states)
def test_both_equal_their_slow_loops(pairs: list[tuple[float, float]]) -> None:
    teacher, student = zip(*pairs, strict=True)
    cosine = slow_cosine(teacher, student)
    found = cosine_distance(teacher=double(teacher), student=double(student)).item()
    assert found == pytest.approx(1 - cosine, abs=1e-9)
    assert -1e-12 <= found <= 2 + 1e-12
    squared = normalised_squared_distance(teacher=double(teacher), student=double(student)).item()
    assert squared == pytest.approx((2 - 2 * cosine) / len(pairs), abs=1e-9)


@BOTH
@given(pairs=pairs_of_states, for_teacher=st.floats(0.1, 100), for_student=st.floats(0.1, 100))
def test_blind_to_the_norms(
    distance: Distance, pairs: list[tuple[float, float]], for_teacher: float, for_student: float
) -> None:
    teacher, student = (double(side) for side in zip(*pairs, strict=True))
    scaled = distance(teacher=for_teacher * teacher, student=for_student * student)
    torch.testing.assert_close(scaled, distance(teacher=teacher, student=student), rtol=1e-9, atol=1e-9)


@BOTH
def test_zero_where_both_are_equal(distance: Distance) -> None:
    torch.manual_seed(0)
    states = torch.randn(4, 3, 8, dtype=torch.float64)
    torch.testing.assert_close(distance(teacher=states, student=states), torch.zeros(4, 3, dtype=torch.float64))


@BOTH
def test_gradcheck(distance: Distance) -> None:
    torch.manual_seed(0)
    teacher, student = torch.randn(2, 3, 5, dtype=torch.float64), torch.randn(2, 3, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: distance(teacher=teacher, student=s), student.requires_grad_())


@BOTH
def test_no_gradient_reaches_the_teacher(distance: Distance) -> None:
    teacher, student = torch.ones(3, requires_grad=True), torch.tensor([1.0, 0.0, 0.0], requires_grad=True)
    distance(teacher=teacher, student=student).backward()
    assert teacher.grad is None
    assert student.grad is not None


@BOTH
@pytest.mark.parametrize("which", ["teacher", "student", "both"])
def test_a_zero_vector_gives_a_finite_value_and_gradient(distance: Distance, which: str) -> None:
    teacher = torch.zeros(3) if which != "student" else torch.tensor([1.0, 2.0, 2.0])
    student = (torch.zeros(3) if which != "teacher" else torch.tensor([1.0, 2.0, 2.0])).requires_grad_()
    value = distance(teacher=teacher, student=student)
    value.backward()
    assert value.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()


@BOTH
def test_the_gradient_at_a_zero_student_state_is_zero(distance: Distance) -> None:
    student = torch.zeros(3, requires_grad=True)
    distance(teacher=torch.tensor([1.0, 2.0, 2.0]), student=student).backward()
    assert student.grad is not None
    torch.testing.assert_close(student.grad, torch.zeros(3))


@BOTH
def test_half_precision_is_computed_in_float32(distance: Distance) -> None:
    torch.manual_seed(0)
    teacher, student = torch.randn(32, 64, dtype=torch.float64), torch.randn(32, 64, dtype=torch.float64)
    found = distance(teacher=teacher.bfloat16(), student=student.bfloat16())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), distance(teacher=teacher, student=student), rtol=2e-2, atol=2e-3)


def test_mean_squared_distance_of_the_specifications_states() -> None:
    assert mean_squared_distance(teacher=double((1, 2)), student=double((0, 0))).item() == 2.5


@given(st.lists(component, min_size=2, max_size=6))
def test_layer_normalised_states_have_mean_0_and_variance_1(state: list[float]) -> None:
    mean = sum(state) / len(state)
    variance = sum((x - mean) ** 2 for x in state) / len(state)
    expected = [(x - mean) / math.sqrt(variance + 1e-5) for x in state]
    assert layer_normalised(double(state)).tolist() == pytest.approx(expected, abs=1e-9)
