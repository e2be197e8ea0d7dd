"""Soft targets and labels, weighted against each other."""

from __future__ import annotations

import pytest

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.recipes.kd import kd
from limbeck.sequences.given import GivenRows


@pytest.mark.parametrize("label_weight", [0.0, 0.3, 1.0])
def test_the_weights_add_up_to_1(label_weight: float) -> None:
    (stage,) = kd(loss_temperature=3.0, label_weight=label_weight).stages
    assert stage.source == GivenRows()
    assert {t.term: t.weight for t in stage.terms} == {
        ForwardKL(3.0): pytest.approx(1 - label_weight),
        LabelCrossEntropy(): pytest.approx(label_weight),
    }


def test_defaults() -> None:
    (stage,) = kd().stages
    assert {t.term: t.weight for t in stage.terms} == {ForwardKL(2.0): 0.5, LabelCrossEntropy(): 0.5}


def test_without_label_weight_no_label_is_read_and_without_soft_weight_no_teacher() -> None:
    assert not kd(label_weight=0).needs.labels
    assert not kd(label_weight=1).needs.teacher
