"""Soft cross-entropy at temperature 1 and labels, half each."""

from __future__ import annotations

import pytest

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.recipes.minima import minima


def test_defaults_are_the_released_codes() -> None:
    (stage,) = minima().stages
    assert {t.term: t.weight for t in stage.terms} == {ForwardKL(1.0): 0.5, LabelCrossEntropy(): 0.5}


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_no_temperature_has_a_factor_t2(temperature: float) -> None:
    (stage,) = minima(loss_temperature=temperature, label_weight=0.25).stages
    weights = {t.name: t.weight for t in stage.terms}
    assert weights == {"divergence": pytest.approx(0.75 / temperature**2), "labels": 0.25}
