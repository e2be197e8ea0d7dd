"""KL(teacher || student): published numbers, a slow loop from the paper, and what must never change it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from limbeck.numerics.divergences import forward_kl

TEACHER = (2.0, 1.0, 0.1, -1.0)
STUDENT = (1.0, 1.5, 0.2, -0.5)
OTHER_TEACHER = (2.0, 1.0, 0.0, -1.0, -2.0)
OTHER_STUDENT = (0.0, 1.5, -0.5, 0.5, -1.0)

logit = st.floats(-30, 30)
pairs_of_logits = st.lists(st.tuples(logit, logit), min_size=2, max_size=8)
temperature = st.sampled_from([0.5, 1.0, 2.0, 4.0, 20.0])


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def value_and_gradient(teacher: Tensor, student: Tensor, loss_temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    student = student.clone().requires_grad_()
    value = forward_kl(teacher_logits=teacher, student_logits=student, loss_temperature=loss_temperature)
    (gradient,) = torch.autograd.grad(value.sum(), student)
    return value.detach(), gradient


def softened(logits: tuple[float, ...], loss_temperature: float) -> list[float]:
    """Hinton et al. 2015, equation 1."""
    exponentials = [math.exp(z / loss_temperature) for z in logits]
    return [e / sum(exponentials) for e in exponentials]


def slow_kl(teacher: tuple[float, ...], student: tuple[float, ...], loss_temperature: float) -> float:
    p, q = softened(teacher, loss_temperature), softened(student, loss_temperature)
    return loss_temperature**2 * sum(p[i] * (math.log(p[i]) - math.log(q[i])) for i in range(len(p)))


@pytest.mark.parametrize(("loss_temperature", "nats"), [(1, 0.246281), (2, 0.236002), (4, 0.216782)])
def test_value_of_the_reference_vectors(loss_temperature: float, nats: float) -> None:
    value, _ = value_and_gradient(double(TEACHER), double(STUDENT), loss_temperature)
    assert value.item() == pytest.approx(nats, abs=1e-6)


def test_value_of_the_second_pair_is_that_of_the_forward_direction() -> None:
    value, _ = value_and_gradient(double(OTHER_TEACHER), double(OTHER_STUDENT))
    assert value.item() == pytest.approx(0.7801817, abs=1e-7)
    swapped, _ = value_and_gradient(double(OTHER_STUDENT), double(OTHER_TEACHER))
    assert swapped.item() == pytest.approx(0.7022811, abs=1e-7)


@pytest.mark.parametrize(
    ("loss_temperature", "gradient"),
    [(1, (-0.336969, 0.261695, 0.039857, 0.035417)), (2, (-0.318714, 0.202110, 0.042251, 0.074352))],
)
def test_gradient_of_the_reference_vectors(loss_temperature: float, gradient: tuple[float, ...]) -> None:
    _, found = value_and_gradient(double(TEACHER), double(STUDENT), loss_temperature)
    torch.testing.assert_close(found, double(gradient), atol=1e-6, rtol=0)


@pytest.mark.parametrize("loss_temperature", [0.5, 1, 2, 4, 10])
def test_gradient_is_temperature_times_difference_of_softened_probs(loss_temperature: float) -> None:
    p, q = softened(TEACHER, loss_temperature), softened(STUDENT, loss_temperature)
    expected = double([loss_temperature * (qi - pi) for pi, qi in zip(p, q, strict=True)])
    _, found = value_and_gradient(double(TEACHER), double(STUDENT), loss_temperature)
    torch.testing.assert_close(found, expected)


def test_limit_of_high_temperature_is_half_the_variance_of_the_differences() -> None:
    difference = double(TEACHER) - double(STUDENT)
    limit = (difference - difference.mean()).square().sum() / (2 * len(difference))
    assert limit.item() == pytest.approx(0.188437, abs=1e-6)
    value, _ = value_and_gradient(double(TEACHER), double(STUDENT), 1e4)
    assert value.item() == pytest.approx(limit.item(), rel=1e-3)


def test_squared_temperature_keeps_the_size_of_the_gradient() -> None:
    norms = [value_and_gradient(double(TEACHER), double(STUDENT), T)[1].norm().item() for T in (1, 2, 4, 8)]
    assert norms == pytest.approx([0.429971, 0.386963, 0.350172, 0.329061], abs=1e-6)


@settings(max_examples=40)
@given(pairs_of_logits, temperature)
def test_equal_to_the_slow_loop(pairs: list[tuple[float, float]], loss_temperature: float) -> None:
    teacher, student = zip(*pairs, strict=True)
    value, _ = value_and_gradient(double(teacher), double(student), loss_temperature)
    assert value.item() == pytest.approx(slow_kl(teacher, student, loss_temperature), rel=1e-9, abs=1e-9)


def test_gradcheck() -> None:
    torch.manual_seed(0)
    teacher, student = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda s: forward_kl(teacher_logits=teacher, student_logits=s, loss_temperature=2.0), student.requires_grad_()
    )


@settings(max_examples=40)
@given(pairs_of_logits, temperature)
def test_never_negative(pairs: list[tuple[float, float]], loss_temperature: float) -> None:
    teacher, student = zip(*pairs, strict=True)
    value, _ = value_and_gradient(double(teacher), double(student), loss_temperature)
    assert value.item() >= -1e-10


@settings(max_examples=40)
@given(st.lists(logit, min_size=2, max_size=8), temperature)
def test_zero_value_and_gradient_where_both_are_equal(logits: list[float], loss_temperature: float) -> None:
    value, gradient = value_and_gradient(double(logits), double(logits), loss_temperature)
    assert value.item() == 0
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))


@settings(max_examples=40)
@given(pairs_of_logits, st.floats(-50, 50), st.floats(-50, 50))
def test_blind_to_a_constant_added_to_either_side(
    pairs: list[tuple[float, float]], for_teacher: float, for_student: float
) -> None:
    teacher, student = (double(side) for side in zip(*pairs, strict=True))
    value, gradient = value_and_gradient(teacher, student, 2.0)
    shifted_value, shifted_gradient = value_and_gradient(teacher + for_teacher, student + for_student, 2.0)
    torch.testing.assert_close(shifted_value, value, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(shifted_gradient, gradient, rtol=1e-9, atol=1e-9)


@settings(max_examples=40)
@given(pairs_of_logits, st.randoms())
def test_blind_to_the_order_of_classes(pairs: list[tuple[float, float]], random: object) -> None:
    order = random.sample(range(len(pairs)), len(pairs))  # type: ignore[attr-defined]
    teacher, student = (double(side) for side in zip(*pairs, strict=True))
    value, gradient = value_and_gradient(teacher, student)
    other_value, other_gradient = value_and_gradient(teacher[order], student[order])
    torch.testing.assert_close(other_value, value, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(other_gradient, gradient[order], rtol=1e-9, atol=1e-9)


def test_rows_do_not_see_each_other_and_every_shape_is_reduced_over_its_last_dimension() -> None:
    torch.manual_seed(0)
    teacher, student = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    value, gradient = value_and_gradient(teacher, student, 2.0)
    flat_value, flat_gradient = value_and_gradient(teacher.reshape(6, 5), student.reshape(6, 5), 2.0)
    torch.testing.assert_close(value, flat_value.reshape(2, 3))
    torch.testing.assert_close(gradient, flat_gradient.reshape(2, 3, 5))
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(value[i, j], value_and_gradient(teacher[i, j], student[i, j], 2.0)[0])


def test_no_gradient_reaches_the_teacher() -> None:
    teacher, student = double(TEACHER).requires_grad_(), double(STUDENT).requires_grad_()
    forward_kl(teacher_logits=teacher, student_logits=student).backward()
    assert teacher.grad is None
    assert student.grad is not None


@pytest.mark.parametrize("loss_temperature", [1.0, 4.0])
def test_huge_logits_give_a_finite_value_and_gradient(loss_temperature: float) -> None:
    teacher, student = torch.tensor([1e4, -1e4, 0.0]), torch.tensor([-1e4, 1e4, 0.0])
    value, gradient = value_and_gradient(teacher, student, loss_temperature)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss_temperature * 2e4, rel=1e-6)
    torch.testing.assert_close(gradient, loss_temperature * torch.tensor([-1.0, 1.0, 0.0]))


def test_a_spread_of_300_does_not_underflow() -> None:
    value, gradient = value_and_gradient(torch.tensor([150.0, -150.0]), torch.tensor([-150.0, 150.0]))
    assert value.item() == pytest.approx(300)
    assert gradient.isfinite().all()


def test_a_class_ruled_out_on_both_sides_is_as_good_as_absent() -> None:
    teacher, student = torch.tensor([*TEACHER, -math.inf]), torch.tensor([*STUDENT, -math.inf])
    value, gradient = value_and_gradient(teacher, student)
    expected_value, expected_gradient = value_and_gradient(torch.tensor(TEACHER), torch.tensor(STUDENT))
    torch.testing.assert_close(value, expected_value)
    torch.testing.assert_close(gradient, torch.cat([expected_gradient, torch.zeros(1)]))


def test_a_class_ruled_out_by_the_teacher_alone_contributes_nothing_but_is_pushed_down() -> None:
    teacher, student = torch.tensor([1.0, 0.0, -math.inf]), torch.tensor([0.5, 0.0, 1.0])
    value, gradient = value_and_gradient(teacher, student, 2.0)
    p, q = torch.softmax(teacher / 2, 0), torch.softmax(student / 2, 0)
    torch.testing.assert_close(value, 4 * (p[:2] * (p[:2].log() - q[:2].log())).sum())
    torch.testing.assert_close(gradient, 2 * (q - p))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    teacher, student = 2 * torch.randn(64, 10, dtype=torch.float64), 2 * torch.randn(64, 10, dtype=torch.float64)
    exact, _ = value_and_gradient(teacher, student, 2.0)
    value, gradient = value_and_gradient(teacher.to(dtype), student.to(dtype), 2.0)
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    torch.testing.assert_close(value.double().mean(), exact.mean(), rtol=2e-2, atol=0)
    torch.testing.assert_close(value.double(), exact, rtol=2e-2, atol=2e-2)


def test_both_sides_are_named_by_role() -> None:
    with pytest.raises(TypeError):
        forward_kl(torch.tensor(TEACHER), torch.tensor(STUDENT))  # type: ignore[misc]
