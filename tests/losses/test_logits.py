"""Soft targets as a term."""

from __future__ import annotations

import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.losses.logits import ForwardKL, LogitDistance, TeacherCrossEntropy
from limbeck.types import Batch, Needs, Shapes, Signal

TEACHER = torch.tensor([[2.0, 1.0, 0.1, -1.0], [0.0, 0.0, 0.0, 0.0], [1.0, 1.5, 0.2, -0.5]])
STUDENT = torch.tensor([[1.0, 1.5, 0.2, -0.5], [0.0, 0.0, 0.0, 0.0], [2.0, 1.0, 0.1, -1.0]])
BATCH: Batch = {"rows_B": torch.arange(3), "signal": {"logits": TEACHER}}


@pytest.mark.parametrize(("loss_temperature", "first"), [(1.0, 0.246281), (2.0, 0.236002), (4.0, 0.216782)])
def test_one_value_per_row_scaled_by_the_squared_temperature(loss_temperature: float, first: float) -> None:
    values = ForwardKL(loss_temperature).values({"logits": STUDENT}, BATCH["signal"], BATCH)
    assert values.shape == (3,)
    assert values[0].item() == pytest.approx(first, abs=1e-6)
    assert values[1].item() == 0


def test_the_direction_is_from_teacher_to_student() -> None:
    values = ForwardKL(1.0).values({"logits": STUDENT}, BATCH["signal"], BATCH)
    assert values[2].item() == pytest.approx(0.243229, abs=1e-6)  # the pair with roles swapped


def test_gradient_equals_that_of_a_float64_softmax() -> None:
    student = STUDENT.clone().requires_grad_()
    ForwardKL(2.0).values({"logits": student}, BATCH["signal"], BATCH).sum().backward()
    expected = 2 * (torch.softmax(STUDENT.double() / 2, -1) - torch.softmax(TEACHER.double() / 2, -1))
    assert student.grad is not None
    torch.testing.assert_close(student.grad.double(), expected, atol=1e-6, rtol=1e-5)


def test_every_row_counts_labelled_or_not() -> None:
    assert ForwardKL().mask(BATCH).tolist() == [True, True, True]


def test_needs_the_teachers_logits_only() -> None:
    assert ForwardKL().bind(Shapes(4, 16, 2, 8)).needs == Needs(logits=True)


@pytest.mark.parametrize("loss_temperature", [0.0, -1.0, float("inf"), float("nan")])
def test_refuses_a_temperature_that_is_no_number_above_0(loss_temperature: float) -> None:
    with pytest.raises(ConfigError, match="loss_temperature must be a number above 0, not"):
        ForwardKL(loss_temperature)


# The teacher's probabilities as gold ones: specification of ANON, section 2.5

PROBS, ANSWER = torch.tensor([[0.7, 0.2, 0.1]]), torch.tensor([[0.6, 0.3, 0.1]])
SOFT: Batch = {"rows_B": torch.arange(1), "signal": {"logits": PROBS.log()}}


def test_cross_entropy_with_the_teacher_is_entropy_plus_kl() -> None:
    term = TeacherCrossEntropy()
    logits = ANSWER.log().requires_grad_()
    value = term.values({"logits": logits}, SOFT["signal"], SOFT)
    value.sum().backward()
    assert value.item() == pytest.approx(0.828631, abs=1e-6)
    kl = term.metrics({"logits": logits.detach()}, SOFT["signal"])["kl_to_teacher"]
    assert kl.item() == pytest.approx(0.026812, abs=1e-6)
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.1, 0.1, 0.0]]), atol=1e-6, rtol=0)
    assert term.values({"logits": PROBS.log()}, SOFT["signal"], SOFT).item() == pytest.approx(0.801819, abs=1e-6)


def test_hard_labels_are_ordinary_cross_entropy() -> None:
    values = TeacherCrossEntropy(hard=True).values({"logits": STUDENT}, BATCH["signal"], BATCH)
    expected = torch.nn.functional.cross_entropy(STUDENT, TEACHER.argmax(-1), reduction="none")
    torch.testing.assert_close(values, expected)


def test_a_label_that_the_teacher_rules_out_costs_nothing() -> None:
    certain: Batch = {"rows_B": torch.arange(1), "signal": {"logits": torch.tensor([[0.0, -torch.inf, -69.0]])}}
    value = TeacherCrossEntropy().values({"logits": ANSWER.log()}, certain["signal"], certain)
    assert value.item() == pytest.approx(-torch.log(torch.tensor(0.6)).item(), abs=1e-6)


# Rows that the teacher is unsure of: specification of ANON, section 2.4

UNSURE_OF = torch.tensor([[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.4, 0.1], [0.5, 0.3, 0.2]])
"""Entropies over ln 3: 0.7298, 1, 0.8587, 0.9372."""


@pytest.mark.parametrize("hard", [False, True])
def test_rows_of_a_high_entropy_weigh_less(hard: bool) -> None:
    batch: Batch = {"rows_B": torch.arange(4), "signal": {"logits": UNSURE_OF.log() + 3.0}}
    student: Signal = {"logits": torch.tensor([[0.3, -1.0, 0.2]]).expand(4, 3)}
    said = batch["signal"]
    plain = TeacherCrossEntropy(hard).values(student, said, batch)
    weighted = TeacherCrossEntropy(hard, unsure_weight=0.25)
    torch.testing.assert_close(
        weighted.values(student, batch["signal"], batch), plain * torch.tensor([1.0, 0.25, 1.0, 0.25])
    )
    # A row counts once whatever it weighs: steps with many unsure rows are smaller steps.
    assert weighted.mask(batch).tolist() == [True] * 4
    shown = [term.metrics(student, batch["signal"])["kl_to_teacher"] for term in (weighted, TeacherCrossEntropy(hard))]
    assert torch.equal(*shown)


def test_a_sure_teachers_zero_probabilities_have_no_entropy() -> None:
    certain: Batch = {"rows_B": torch.arange(1), "signal": {"logits": torch.tensor([[0.0, -torch.inf, -69.0]])}}
    values = [
        TeacherCrossEntropy(unsure_weight=w).values({"logits": ANSWER.log()}, certain["signal"], certain)
        for w in (0.5, 1.0)
    ]
    assert torch.equal(*values)


@pytest.mark.parametrize("weight", [-0.1, 1.5, float("nan")])
def test_refuses_a_weight_of_unsure_rows_outside_0_and_1(weight: float) -> None:
    with pytest.raises(ConfigError, match="unsure_weight must be between 0 and 1, not"):
        TeacherCrossEntropy(unsure_weight=weight)


# Mean squared error of logits


def test_the_mean_squared_error_of_logits_and_its_gradient() -> None:
    """Of t = (2, 1, 0.1, -1) and s = (1, 1.5, 0.2, -0.5): (1 + 0.25 + 0.01 + 0.25) / 4."""
    student = STUDENT.clone().requires_grad_()
    values = LogitDistance().values({"logits": student}, BATCH["signal"], BATCH)
    assert values.tolist() == pytest.approx([0.3775, 0.0, 0.3775])
    values.sum().backward()
    torch.testing.assert_close(student.grad, 2 * (STUDENT - TEACHER) / 4)
    shifted = LogitDistance().values({"logits": STUDENT + 3}, {"logits": TEACHER + 3}, BATCH)
    torch.testing.assert_close(shifted, values.detach())
    assert LogitDistance().values({"logits": STUDENT + 3}, BATCH["signal"], BATCH)[1].item() == 9
    assert LogitDistance().mask(BATCH).tolist() == [True, True, True]
    assert LogitDistance().needs == Needs(logits=True)
