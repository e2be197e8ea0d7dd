"""Values and sets of labels: against slow loops in float64, and what is unknown adds nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.targets import BinaryCrossEntropy, BinaryKL, SquaredError
from limbeck.types import Batch, Needs

NAN = math.nan
TARGETS = torch.tensor([[1.0, 0.0, 1.0], [NAN, 1.0, NAN], [NAN, NAN, NAN], [0.0, 0.0, 0.0]], dtype=torch.float64)
KNOWN = [[0, 1, 2], [1], [], [0, 1, 2]]
TERMS = [SquaredError(), SquaredError("teacher"), BinaryCrossEntropy(), BinaryKL(2.0)]
EVERY = pytest.mark.parametrize("term", TERMS, ids=["gold-mse", "teacher-mse", "gold-bce", "teacher-kl"])


def logits(seed: int) -> Tensor:
    return 2 * torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


BATCH: Batch = {"targets_BC": TARGETS, "rows_B": torch.arange(4), "signal": {"logits": logits(1)}}


def values(term: Any, student: Tensor, batch: Batch = BATCH) -> Tensor:
    found: Tensor = term.values({"logits": student}, batch["signal"], batch)
    return found


def logistic(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def expected(term: Any, row: int) -> float:
    """The formula, one label at a time."""
    own, other, gold = logits(0)[row].tolist(), logits(1)[row].tolist(), TARGETS[row].tolist()
    if isinstance(term, BinaryKL):
        found = []
        for z, t in zip(own, other, strict=True):
            p, q = logistic(t / 2), logistic(z / 2)
            found.append(4 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))))
    elif term == SquaredError("teacher"):
        found = [(z - t) ** 2 for z, t in zip(own, other, strict=True)]
    elif term == SquaredError():
        found = [(own[c] - gold[c]) ** 2 for c in KNOWN[row]]
    else:
        found = [-math.log(logistic(own[c]) if gold[c] else 1 - logistic(own[c])) for c in KNOWN[row]]
    return sum(found) / len(found)


@EVERY
def test_values_are_those_of_the_formula(term: Any) -> None:
    counted = term.mask(BATCH).tolist()
    assert counted == ([True, True, False, True] if term.needs.labels else [True] * 4)
    found = values(term, logits(0))
    for row in range(4):
        if counted[row]:
            assert found[row].item() == pytest.approx(expected(term, row))
    assert found.isfinite().all()


@EVERY
def test_gradcheck(term: Any) -> None:
    assert torch.autograd.gradcheck(lambda z: values(term, z), (logits(0).requires_grad_(),))


@EVERY
def test_the_unknown_has_no_gradient_and_the_teacher_neither(term: Any) -> None:
    student, teacher = logits(0).requires_grad_(), logits(1).requires_grad_()
    values(term, student, {**BATCH, "signal": {"logits": teacher}}).sum().backward()
    assert teacher.grad is None
    assert student.grad is not None
    unknown = torch.isnan(TARGETS) if term.needs.labels else torch.zeros_like(TARGETS, dtype=torch.bool)
    assert (student.grad[unknown] == 0).all()
    assert (student.grad[~unknown] != 0).all()


@EVERY
def test_half_precision_is_computed_in_float32(term: Any) -> None:
    found = values(term, logits(0).bfloat16(), {**BATCH, "signal": {"logits": logits(1).bfloat16()}})
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), values(term, logits(0)), rtol=5e-2, atol=2e-2)


def test_a_student_that_is_the_teacher_is_at_0_and_labels_that_are_right_nearly() -> None:
    assert values(SquaredError("teacher"), logits(1)).abs().max() == 0
    assert values(BinaryKL(), logits(1)).abs().max() < 1e-12
    assert values(BinaryCrossEntropy(), (TARGETS.nan_to_num() - 0.5) * 80).max() < 1e-12


def test_the_gradient_of_the_kl_is_that_of_cross_entropy_with_the_teachers_probabilities() -> None:
    student = logits(0).requires_grad_()
    (gradient,) = torch.autograd.grad(values(BinaryKL(), student).sum(), student)
    torch.testing.assert_close(gradient, (student.sigmoid() - logits(1).sigmoid()) / 3)


def test_a_label_that_the_teacher_rules_out_is_finite() -> None:
    batch: Batch = {"rows_B": torch.arange(1), "signal": {"logits": torch.tensor([[-torch.inf, 0.0, 0.0]])}}
    student = torch.tensor([[0.0, 0.0, 0.0]], requires_grad=True)
    assert values(BinaryKL(), student, batch).item() == pytest.approx(math.log(2) / 3)


def test_needs() -> None:
    assert [term.needs for term in TERMS] == [Needs(labels=True), Needs(logits=True)] * 2  # type: ignore[attr-defined]


def test_a_temperature_that_is_no_number_above_0_is_refused() -> None:
    with pytest.raises(ConfigError, match="loss_temperature must be a number above 0, not 0"):
        BinaryKL(0)
