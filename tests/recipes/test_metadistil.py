"""The terms, rates and quiz of MetaDistil."""

from __future__ import annotations

from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.losses.hints.hidden import PatientHints
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.output_distance import OutputDistance
from limbeck.recipes.catalogue import build_recipe, recipe_card
from limbeck.recipes.metadistil import metadistil
from limbeck.sequences.given import GivenRows
from limbeck.stages.outer_loop import BiLevel, require_outer_loop
from limbeck.stages.stage import Training


def test_defaults_are_those_of_the_released_code() -> None:
    (stage,) = metadistil().stages
    assert {t.term: t.weight for t in stage.terms} == {
        LabelCrossEntropy(): 0.5,
        OutputDistance(5.0, "probabilities", reaches_teacher=True): 0.5,
        PatientHints("skip", reaches_teacher=True): 100.0,
    }
    assert stage.outer == BiLevel(
        quiz_fraction=0.1, quiz_batches=1, teacher_learning_rate=1e-5, pilot_learning_rate=5e-5
    )
    assert stage.source == GivenRows()
    require_outer_loop(stage, Training())


def test_every_argument_reaches_its_place() -> None:
    arguments: dict[str, Any] = {"soft_loss": "logits", "loss_temperature": 2.0, "soft_target_weight": 0.2}
    arguments |= {"hint_weight": 7.0, "strategy": "last", "teacher_learning_rate": 0.0, "pilot_learning_rate": 0.3}
    (stage,) = metadistil(**arguments, quiz_fraction=0.5, quiz_batches=0).stages
    assert {t.term: t.weight for t in stage.terms} == {
        LabelCrossEntropy(): 0.8,
        OutputDistance(2.0, "logits", reaches_teacher=True): 0.2,
        PatientHints("last", reaches_teacher=True): 7.0,
    }
    assert stage.outer == BiLevel(0.5, 0, 0.0, 0.3)


def test_it_is_for_classifiers_of_one_label() -> None:
    assert recipe_card("metadistil").kinds == ("classification",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"soft_target_weight": 0, "hint_weight": 0}, "are both 0: the student learns nothing from a teacher"),
        ({"soft_target_weight": 1.5}, "recipe.soft_target_weight must be between 0 and 1"),
        ({"quiz_fraction": 0.6}, "recipe.quiz_fraction: Input should be less than or equal to 0.5"),
        ({"quiz_batches": -1}, "recipe.quiz_batches: Input should be greater than or equal to 0"),
        ({"teacher_learning_rate": float("nan")}, "recipe.teacher_learning_rate: "),
        ({"soft_loss": "kl"}, "recipe.soft_loss: Input should be 'probabilities' or 'logits'"),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_recipe("metadistil", arguments, "classification")
