"""Soft targets as a term."""

from __future__ import annotations

import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.losses.logits import ForwardKL, TeacherCrossEntropy
from limbeck.types import Batch, Needs, Shapes

TEACHER = torch.tensor([[2.0, 1.0, 0.1, -1.0], [0.0, 0.0, 0.0, 0.0], [1.0, 1.5, 0.2, -0.5]])
STUDENT = torch.tensor([[1.0, 1.5, 0.2, -0.5], [0.0, 0.0, 0.0, 0.0], [2.0, 1.0, 0.1, -1.0]])
BATCH: Batch = {"rows_B": torch.arange(3), "signal": {"logits_BC": TEACHER}}


@pytest.mark.parametrize(("loss_temperature", "first"), [(1.0, 0.246281), (2.0, 0.236002), (4.0, 0.216782)])
def test_one_value_per_row_scaled_by_the_squared_temperature(loss_temperature: float, first: float) -> None:
    values = ForwardKL(loss_temperature).values({"logits_BC": STUDENT}, BATCH)
    assert values.shape == (3,)
    assert values[0].item() == pytest.approx(first, abs=1e-6)
    assert values[1].item() == 0


def test_the_direction_is_from_teacher_to_student() -> None:
    values = ForwardKL(1.0).values({"logits_BC": STUDENT}, BATCH)
    assert values[2].item() == pytest.approx(0.243229, abs=1e-6)  # the pair with roles swapped


def test_gradient_equals_that_of_a_float64_softmax() -> None:
    student = STUDENT.clone().requires_grad_()
    ForwardKL(2.0).values({"logits_BC": student}, BATCH).sum().backward()
    expected = 2 * (torch.softmax(STUDENT.double() / 2, -1) - torch.softmax(TEACHER.double() / 2, -1))
    assert student.grad is not None
    torch.testing.assert_close(student.grad.double(), expected, atol=1e-6, rtol=1e-5)


def test_every_row_counts_labelled_or_not() -> None:
    assert ForwardKL().counted(BATCH).tolist() == [True, True, True]


def test_needs_the_teachers_logits_only() -> None:
    assert ForwardKL().bind(Shapes(4, 16, 2, 8)).needs == Needs(logits=True)


@pytest.mark.parametrize("loss_temperature", [0.0, -1.0, float("inf"), float("nan")])
def test_refuses_a_temperature_that_is_no_number_above_0(loss_temperature: float) -> None:
    with pytest.raises(ConfigError, match="loss_temperature must be a number above 0, not"):
        ForwardKL(loss_temperature)


# The teacher's probabilities as gold ones: specification of ANON, section 2.5

PROBS, ANSWER = torch.tensor([[0.7, 0.2, 0.1]]), torch.tensor([[0.6, 0.3, 0.1]])
SOFT: Batch = {"rows_B": torch.arange(1), "signal": {"logits_BC": PROBS.log()}}


def test_cross_entropy_with_the_teacher_is_entropy_plus_kl() -> None:
    term = TeacherCrossEntropy()
    logits = ANSWER.log().requires_grad_()
    value = term.values({"logits_BC": logits}, SOFT)
    value.sum().backward()
    assert value.item() == pytest.approx(0.828631, abs=1e-6)
    kl = term.watched({"logits_BC": logits.detach()}, SOFT)["kl_to_teacher"]
    assert kl.item() == pytest.approx(0.026812, abs=1e-6)
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.1, 0.1, 0.0]]), atol=1e-6, rtol=0)
    assert term.values({"logits_BC": PROBS.log()}, SOFT).item() == pytest.approx(0.801819, abs=1e-6)


def test_hard_labels_are_ordinary_cross_entropy() -> None:
    values = TeacherCrossEntropy(hard=True).values({"logits_BC": STUDENT}, BATCH)
    expected = torch.nn.functional.cross_entropy(STUDENT, TEACHER.argmax(-1), reduction="none")
    torch.testing.assert_close(values, expected)


def test_a_label_that_the_teacher_rules_out_costs_nothing() -> None:
    certain: Batch = {"rows_B": torch.arange(1), "signal": {"logits_BC": torch.tensor([[0.0, -torch.inf, -69.0]])}}
    value = TeacherCrossEntropy().values({"logits_BC": ANSWER.log()}, certain)
    assert value.item() == pytest.approx(-torch.log(torch.tensor(0.6)).item(), abs=1e-6)
