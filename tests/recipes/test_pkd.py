"""Weights and strategies of patient knowledge distillation."""

from __future__ import annotations

from typing import Literal

import pytest

from limbeck.losses.hints.hidden import PatientHints
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import needs_of
from limbeck.recipes.pkd import pkd
from limbeck.sequences.given import GivenRows


def test_defaults_lie_in_the_papers_grid() -> None:
    (stage,) = pkd().stages
    assert {t.term: t.weight for t in stage.terms} == {
        LabelCrossEntropy(): 0.5,
        ForwardKL(5.0): 0.5,
        PatientHints("skip"): 100.0,
    }
    assert stage.source == GivenRows()


@pytest.mark.parametrize("strategy", ["skip", "last"])
def test_every_argument_reaches_its_own_term(strategy: Literal["skip", "last"]) -> None:
    (stage,) = pkd(strategy=strategy, loss_temperature=10.0, soft_target_weight=0.2, hint_weight=500.0).stages
    assert {t.term: t.weight for t in stage.terms} == {
        LabelCrossEntropy(): 0.8,
        ForwardKL(10.0): 0.2,
        PatientHints(strategy): 500.0,
    }


def test_without_labels_the_other_weights_stay() -> None:
    (stage,) = pkd(use_labels=False, soft_target_weight=0.7).stages
    assert {t.name: t.weight for t in stage.terms} == {"labels": 0.0, "soft_targets": 0.7, "hints": 100.0}
    assert not needs_of(stage.terms).labels
