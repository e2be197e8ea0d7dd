"""The terms of AD-KD and their weights."""

from __future__ import annotations

import pytest

from limbeck.losses.annealed import AnnealedTargets
from limbeck.losses.attribution import AttributionDistance
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.recipes.ad_kd import ad_kd
from limbeck.recipes.catalogue import build_recipe, recipe_card


def test_soft_targets_have_no_factor_of_the_squared_temperature() -> None:
    (stage,) = ad_kd(loss_temperature=4.0).stages
    assert {t.name: (t.term, t.weight) for t in stage.terms} == {
        "labels": (LabelCrossEntropy(), pytest.approx(0.1)),
        "soft_targets": (ForwardKL(4.0), pytest.approx(0.9 / 16)),
        "attribution": (AttributionDistance(1, None), 10.0),
    }


def test_the_temperature_can_fall() -> None:
    terms = {t.name: (t.term, t.weight) for t in ad_kd(anneal=True, soft_target_weight=0.8).stages[0].terms}
    assert terms["soft_targets"] == (AnnealedTargets(3.0), 0.8)


def test_steps_and_components() -> None:
    terms = {t.name: t.term for t in ad_kd(steps=4, top_components=700).stages[0].terms}
    assert terms["attribution"] == AttributionDistance(4, 700)


def test_all_soft_reads_no_labels() -> None:
    assert not ad_kd(soft_target_weight=1.0).needs.labels
    assert build_recipe("ad_kd", {"soft_target_weight": 1.0}, "regression").needs.labels  # of squared errors


def test_its_kinds() -> None:
    assert recipe_card("ad_kd").kinds == ("classification", "regression", "multi_label")
