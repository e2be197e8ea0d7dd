"""Cross-entropy with the gold label."""

from __future__ import annotations

import math

import pytest
import torch

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.types import UNLABELLED, Batch, Needs, Shapes

BATCH: Batch = {"labels_B": torch.tensor([2, UNLABELLED, 0]), "rows_B": torch.arange(3)}


def test_value_is_minus_the_log_of_the_gold_probability() -> None:
    logits = [[2.0, 1.0, 0.1], [0.0, 0.0, 0.0], [-1.0, 3.0, 0.5]]
    values = LabelCrossEntropy().values({"logits": torch.tensor(logits)}, {}, BATCH)
    for row, gold in [(0, 2), (2, 0)]:
        expected = math.log(sum(math.exp(z) for z in logits[row])) - logits[row][gold]
        assert values[row].item() == pytest.approx(expected, rel=1e-6)
    assert values[1].isfinite()


def test_gradient_is_probability_minus_one_hot_on_labelled_rows_and_zero_elsewhere() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 4, requires_grad=True)
    LabelCrossEntropy().values({"logits": logits}, {}, BATCH).sum().backward()
    expected = torch.softmax(logits.detach().double(), dim=-1)
    expected[0, 2] -= 1
    expected[2, 0] -= 1
    expected[1] = 0
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad.double(), expected, atol=1e-6, rtol=1e-5)


def test_counts_labelled_rows_only() -> None:
    assert LabelCrossEntropy().mask(BATCH).tolist() == [True, False, True]


def test_half_precision_logits_are_computed_in_float32() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]] * 3, dtype=torch.bfloat16, requires_grad=True)
    values = LabelCrossEntropy().values({"logits": logits}, {}, BATCH)
    values.sum().backward()
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_a_gold_class_that_the_student_rules_out_is_infinite_and_others_are_absent() -> None:
    """`docs/conventions.md`: training stops at the first; the second changes nothing."""
    logits = torch.tensor([[0.3, 1.0, -math.inf], [0.0] * 3, [0.3, 1.0, -math.inf]], requires_grad=True)
    values = LabelCrossEntropy().values({"logits": logits}, {}, BATCH)
    assert values[0].item() == math.inf
    assert values[2].item() == pytest.approx(math.log1p(math.exp(0.7)))
    values[2].backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_needs_labels_and_no_teacher() -> None:
    term = LabelCrossEntropy().bind(Shapes(4, 16, 2, 8))
    assert term.needs == Needs(labels=True)
    assert not term.needs.teacher
