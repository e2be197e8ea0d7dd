"""The stages of ReAugKD, and how its students look up rows."""

from __future__ import annotations

from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.losses.embeddings import BatchRelations, EmbeddingMap
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.models.retrieval_memory import Retrieval
from limbeck.recipes.catalogue import RECIPES, build_recipe, recipes_for
from limbeck.recipes.reaugkd import reaugkd
from limbeck.sequences.given import GivenRows


def test_two_stages_and_a_memory() -> None:
    recipe = reaugkd(map_fraction=0.3, similarity_temperature=0.2, relation_weight=3, neighbours=5, own_share=0.75)
    first, second = recipe.stages
    assert (first.share, second.share) == pytest.approx((0.3, 0.7))
    assert [t.term for t in first.terms] == [EmbeddingMap(0.2)]
    assert (first.source, first.trains_student, second.trains_student) == (GivenRows("labelled"), False, True)
    assert {t.name: (t.term, t.weight) for t in second.terms} == {
        "divergence": (ForwardKL(2.0), 1.0),
        "labels": (LabelCrossEntropy(), 1.0),
        "relations": (BatchRelations(0.2), 3.0),
    }
    assert recipe.retrieval == Retrieval(neighbours=5, temperature=0.2, own_share=0.75)


def test_only_its_students_look_up_rows() -> None:
    found = [name for name in recipes_for("classification") if build_recipe(name, {}, "classification").retrieval]
    assert found == ["reaugkd"]
    assert [kind for kind in ("regression", "generation") if "reaugkd" in recipes_for(kind)] == []
    assert "reaugkd" in RECIPES


@pytest.mark.parametrize(
    "arguments",
    [
        {"map_fraction": 0},
        {"relation_weight": 0},
        {"neighbours": 0},
        {"own_share": 1.5},
        {"similarity_temperature": 0},
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any]) -> None:
    (name,) = arguments
    with pytest.raises(ConfigError, match=rf"recipe\.{name}"):
        build_recipe("reaugkd", arguments, "classification")
