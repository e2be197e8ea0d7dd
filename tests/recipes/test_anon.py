"""A prompted teacher's labels, easy rows first."""

from __future__ import annotations

from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.losses.combine import needs_of
from limbeck.losses.logits import TeacherCrossEntropy
from limbeck.recipes.catalogue import build_recipe, recipe_card
from limbeck.sequences.curriculum import Curriculum


def test_by_default_soft_labels_in_three_stages() -> None:
    (stage,) = build_recipe("anon", {})
    assert [t.term for t in stage.terms] == [TeacherCrossEntropy(hard=False)]
    assert stage.curriculum == Curriculum(3, "entropy", 0.1)
    assert stage.rows == "all"
    assert not needs_of(stage.terms).labels


def test_hard_labels_in_random_order() -> None:
    (stage,) = build_recipe("anon", {"labels": "hard", "order": "random"})
    assert [t.term for t in stage.terms] == [TeacherCrossEntropy(hard=True)]
    assert stage.curriculum is None


@pytest.mark.parametrize("arguments", [{"stages": 0}, {"class_quota": 2.0}, {"labels": "firm"}, {"difficulty": "age"}])
def test_faulty_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"recipe.{next(iter(arguments))}|{next(iter(arguments))}"):
        build_recipe("anon", arguments)


def test_the_card() -> None:
    card = recipe_card("anon")
    assert "Saxena" in card.paper
    assert card.needs == ["teacher logits"]
