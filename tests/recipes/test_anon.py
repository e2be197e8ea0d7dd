"""A prompted teacher's labels, easy rows first."""

from __future__ import annotations

from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.losses.hints.hidden import HiddenStates
from limbeck.losses.logits import TeacherCrossEntropy
from limbeck.losses.rationales import RationaleCrossEntropy
from limbeck.losses.term import Term, needs_of
from limbeck.recipes.catalogue import build_recipe, recipe_card
from limbeck.sequences.curriculum import Curriculum
from limbeck.sequences.given import GivenRows
from limbeck.stages.stage import Stage


def trained_on(stage: Stage) -> dict[str, tuple[Term, float]]:
    return {t.name: (t.term, t.weight) for t in stage.terms if t.weight > 0}


def test_by_default_soft_labels_in_three_stages() -> None:
    (stage,) = build_recipe("anon", {}, "classification").stages
    assert trained_on(stage) == {"teacher_labels": (TeacherCrossEntropy(hard=False), 1.0)}
    assert stage.source == Curriculum(3, "entropy", 0.1)
    assert not needs_of(stage.terms).labels


def test_hard_labels_in_random_order() -> None:
    (stage,) = build_recipe("anon", {"labels": "hard", "order": "random"}, "classification").stages
    assert trained_on(stage) == {"teacher_labels": (TeacherCrossEntropy(hard=True), 1.0)}
    assert stage.source == GivenRows()


def test_hidden_states_beside_the_labels() -> None:
    (stage,) = build_recipe("anon", {"hidden_weight": 0.1}, "classification").stages
    assert trained_on(stage)["hidden_states"] == (HiddenStates("nearest", layer_norm=True, projected=True), 0.1)
    assert needs_of(stage.terms).same_tokens


def test_rationales_beside_the_labels() -> None:
    (stage,) = build_recipe("anon", {"rationale_weight": 0.3}, "classification").stages
    assert trained_on(stage)["rationales"] == (RationaleCrossEntropy(), 0.3)


def test_unsure_rows_weigh_less_on_request() -> None:
    (stage,) = build_recipe("anon", {"unsure_weight": 0.5}, "classification").stages
    assert trained_on(stage) == {"teacher_labels": (TeacherCrossEntropy(unsure_weight=0.5), 1.0)}


@pytest.mark.parametrize(
    "arguments",
    [{"stages": 0}, {"unsure_weight": 2}, {"class_quota": 2.0}, {"labels": "firm"}, {"difficulty": "age"}],
)
def test_faulty_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"recipe.{next(iter(arguments))}|{next(iter(arguments))}"):
        build_recipe("anon", arguments, "classification")


def test_the_card() -> None:
    card = recipe_card("anon")
    assert "Saxena" in card.paper
    assert card.needs == ["teacher logits"]
