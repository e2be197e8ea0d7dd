"""The terms of MixKD and their weights."""

from __future__ import annotations

import pytest

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL, LogitDistance
from limbeck.losses.mixup import MixedLabels, MixedTargets
from limbeck.losses.targets import BinaryKL
from limbeck.recipes.catalogue import build_recipe, recipe_card
from limbeck.recipes.mixkd import mixkd


def test_all_parts_weigh_1() -> None:
    (stage,) = mixkd().stages
    assert {t.name: (t.term, t.weight) for t in stage.terms} == {
        "labels": (LabelCrossEntropy(), 1.0),
        "soft_targets": (LogitDistance(), 1.0),
        "mixed_labels": (MixedLabels(LabelCrossEntropy(), 0.4), 1.0),
        "mixed_targets": (MixedTargets(LogitDistance(), 0.4), 1.0),
    }


@pytest.mark.parametrize(
    ("off", "read"),
    [
        (("label_weight", "student_mixup_weight"), {"labels": False, "logits": True, "mixed": True}),
        (("soft_target_weight", "teacher_mixup_weight"), {"labels": True, "logits": False, "mixed": False}),
        (("teacher_mixup_weight",), {"labels": True, "logits": True, "mixed": False}),
    ],
)
def test_each_part_can_be_left_out_with_what_it_needs(off: tuple[str, ...], read: dict[str, bool]) -> None:
    needs = mixkd(**dict.fromkeys(off, 0.0)).needs
    assert {"labels": needs.labels, "logits": needs.logits, "mixed": bool(needs.teacher_probes)} == read


def test_one_distance_and_one_share_for_rows_and_mixtures() -> None:
    terms = {t.name: t.term for t in mixkd(loss_temperature=3.0, concentration=1.0).stages[0].terms}
    assert terms["soft_targets"] == ForwardKL(3.0)
    assert terms["mixed_targets"] == MixedTargets(ForwardKL(3.0), 1.0)
    assert terms["mixed_labels"] == MixedLabels(LabelCrossEntropy(), 1.0)
    of_labels = build_recipe("mixkd", {"loss_temperature": 3.0}, "multi_label").stages[0].terms[3].term
    assert of_labels == MixedTargets(BinaryKL(3.0))


def test_its_kinds() -> None:
    assert recipe_card("mixkd").kinds == ("classification", "token_classification", "regression", "multi_label")
