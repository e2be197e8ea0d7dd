"""Attributions on small functions: the numbers of section 18, and what stays in a model that is sure."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from limbeck.numerics.attribution import (
    attribution_distance,
    class_margins,
    error_slopes,
    integrated_gradients,
    path_points,
    surprise_slopes,
    token_scores,
)

ROWS = torch.tensor([[[3.0, -4.0, 0.0], [1.0, 2.0, 2.0], [0.0, 0.0, 0.0]]], dtype=torch.float64)
READ = torch.ones(1, 3, dtype=torch.bool)
DISTINCT = torch.tensor([[0.3, -1.2, 2.0, 0.4], [1.0, 1.1, -0.5, 0.0]], dtype=torch.float64)


def attributed(points: list[float]) -> Tensor:
    """Integrated gradients of ``x1^2 x2`` at (1, 2)."""
    end = torch.tensor([1.0, 2.0], dtype=torch.float64)
    gradients = []
    for point in points:
        x = (point * end).requires_grad_()
        gradients.extend(torch.autograd.grad(x[0] ** 2 * x[1], x))
    return integrated_gradients(end, gradients)


@pytest.mark.parametrize(("steps", "values"), [(1, (4, 2)), (4, (1.875, 0.9375)), (20, (1.435, 0.7175))])
def test_gradients_are_taken_at_the_right_end_of_each_step(steps: int, values: tuple[float, float]) -> None:
    assert attributed(path_points(steps)).tolist() == pytest.approx(values)


def test_attributions_add_up_to_the_change_of_the_function() -> None:
    """F(x) - F(0) = 2, as 4/3 + 2/3; midpoints come closer with as many steps."""
    assert attributed(path_points(20)).sum().item() == pytest.approx(2.1525)
    assert attributed([p - 1 / 40 for p in path_points(20)]).sum().item() == pytest.approx(1.998750)
    assert attributed(path_points(4000)).tolist() == pytest.approx([4 / 3, 2 / 3], abs=1e-3)


def test_the_largest_components_count() -> None:
    assert token_scores(ROWS, READ, 2).tolist() == [pytest.approx([5, 2.828427, 0], abs=1e-6)]
    assert token_scores(ROWS, READ).tolist() == [pytest.approx([5, 3, 0])]
    assert token_scores(ROWS, READ, 3).tolist() == token_scores(ROWS, READ).tolist()
    assert token_scores(ROWS, READ, 1).tolist() == [[4, 2, 0]]


def test_scores_are_divided_by_their_norm_over_tokens() -> None:
    """(5, 2.828427, 0) becomes (.870388, .492366, 0): the distance from one that looks at the third token alone."""
    teacher, student = token_scores(ROWS, READ, 2)[:, None], torch.tensor([[[0.0, 0.0, 7.0]]], dtype=torch.float64)
    distance = attribution_distance(teacher=teacher, student=student)
    assert distance.sqrt().tolist() == [pytest.approx([0.870388, 0.492366, 1], abs=1e-6)]


def test_padding_has_no_score_and_no_gradient() -> None:
    rows = ROWS.clone().requires_grad_()
    scores = token_scores(rows, torch.tensor([[True, False, True]]))
    assert scores.tolist() == [[5, 0, 0]]
    (gradient,) = torch.autograd.grad(scores.sum(), rows)
    assert gradient[0, 1:].abs().max() == 0  # also where a norm of 0 has no derivative
    assert gradient[0, 0].tolist() == pytest.approx([0.6, -0.8, 0])


def test_the_scale_of_either_side_means_nothing() -> None:
    teacher, student = torch.rand(2, 3, 4, dtype=torch.float64), torch.rand(2, 3, 4, dtype=torch.float64)
    expected = attribution_distance(teacher=teacher, student=student)
    for factor in (1e-30, 1e-3, 1e30):
        torch.testing.assert_close(attribution_distance(teacher=factor * teacher, student=student), expected)
        torch.testing.assert_close(attribution_distance(teacher=teacher, student=factor * student), expected)
    tiny = attribution_distance(teacher=1e-30 * teacher.float(), student=1e-25 * student.float())
    torch.testing.assert_close(tiny.double(), expected, atol=1e-6, rtol=1e-5)  # squares of these are 0 in float32


def test_equal_attributions_have_no_distance_and_outputs_add_up() -> None:
    teacher, student = torch.rand(2, 3, 4), torch.rand(2, 3, 4)
    assert attribution_distance(teacher=teacher, student=teacher).abs().max() == 0
    both = attribution_distance(teacher=teacher, student=student)
    each = [attribution_distance(teacher=teacher[:, [i]], student=student[:, [i]]) for i in range(3)]
    torch.testing.assert_close(both, torch.stack(each).sum(dim=0))


def test_an_output_without_attributions_teaches_nothing() -> None:
    student = torch.rand(1, 1, 4, requires_grad=True)
    distance = attribution_distance(teacher=torch.zeros(1, 1, 4), student=student)
    assert distance.tolist() == [[0, 0, 0, 0]]
    (gradient,) = torch.autograd.grad(distance.sum(), student)
    assert gradient.abs().max() == 0


def test_the_distance_is_differentiated_for_the_student_alone() -> None:
    teacher = torch.rand(1, 2, 3, dtype=torch.float64, requires_grad=True)
    student = torch.rand(1, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: attribution_distance(teacher=teacher, student=s), (student,))
    attribution_distance(teacher=teacher, student=student).sum().backward()  # type: ignore[no-untyped-call]
    assert teacher.grad is None


def test_margins_are_log_probabilities_in_another_form() -> None:
    surprise = torch.nn.functional.softplus(class_margins(DISTINCT))
    torch.testing.assert_close(surprise, -DISTINCT.log_softmax(dim=-1))
    two = DISTINCT[:, :2]
    torch.testing.assert_close(torch.nn.functional.softplus(class_margins(two)), -two.log_softmax(dim=-1)[:, :1])


@pytest.mark.parametrize("classes", [2, 4])
def test_the_gradient_of_a_class_that_is_sure_keeps_its_direction(classes: int) -> None:
    """In float32, 1 - p is 0 there, and the gradient of log p with it."""
    z = torch.zeros(1, classes, requires_grad=True)
    with torch.no_grad():
        z[0, 0] = 40.0
    (gradient,) = torch.autograd.grad(class_margins(z)[0, 0], z)
    assert gradient.tolist() == [pytest.approx([-1.0, *[1 / (classes - 1)] * (classes - 1)])]


def test_slopes_along_a_path_are_those_of_the_log_probability() -> None:
    first, second = DISTINCT.log_softmax(-1).exp(), (0.3 * DISTINCT).log_softmax(-1).exp()
    slopes = surprise_slopes([class_margins(DISTINCT), class_margins(0.3 * DISTINCT)])
    largest = torch.maximum(1 - first, 1 - second)
    torch.testing.assert_close(slopes[0], (1 - first) / largest)
    torch.testing.assert_close(slopes[1], (1 - second) / largest)
    (alone,) = surprise_slopes([torch.tensor([[-200.0]])])
    assert alone.item() == 1.0


def test_slopes_of_squared_errors() -> None:
    values, targets = [torch.tensor([[3.0, 1.0, 5.0]]), torch.tensor([[0.0, 1.0, 2.0]])], torch.tensor([[2.0, 1, 0]])
    first, second = error_slopes(values, targets)
    assert (first.tolist(), second.tolist()) == ([[0.5, 0.0, 1.0]], [[-1.0, 0.0, 0.4000000059604645]])
    unknown = error_slopes([torch.ones(1, 1, requires_grad=True)], torch.tensor([[math.nan]]))
    assert unknown[0].tolist() == [[0.0]]
