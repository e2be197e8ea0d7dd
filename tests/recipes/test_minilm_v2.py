"""The terms of MiniLMv2, and the stage that teaches the task."""

from __future__ import annotations

from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.losses.hints.relations import AttentionRelation
from limbeck.losses.term import needs_of
from limbeck.recipes.catalogue import build_recipe
from limbeck.recipes.kd import kd
from limbeck.recipes.minilm_v2 import minilm_v2


@pytest.mark.parametrize(
    ("arguments", "heads", "layer"),
    [({}, "auto", None), ({"relation_heads": 12}, 12, None), ({"teacher_layer": 9}, "auto", 9)],
)
def test_three_relations_weigh_1_each(arguments: dict[str, Any], heads: Any, layer: int | None) -> None:
    relations, task = minilm_v2(**arguments).stages
    assert {t.name: (t.term, t.weight) for t in relations.terms} == {
        "queries": (AttentionRelation("query", "query", heads, layer), 1.0),
        "keys": (AttentionRelation("key", "key", heads, layer), 1.0),
        "values": (AttentionRelation("value", "value", heads, layer), 1.0),
    }
    needs = needs_of(relations.terms)
    assert {needs.labels, needs.logits, needs.same_heads} == {False}
    assert task.terms == kd().stages[0].terms


def test_arguments_of_the_second_stage() -> None:
    first, task = minilm_v2(relation_fraction=0.25, loss_temperature=3, label_weight=0).stages
    assert (first.share, task.share) == pytest.approx((0.25, 0.75))
    assert task.terms == kd(loss_temperature=3, label_weight=0).stages[0].terms


@pytest.mark.parametrize("name", ["minilm", "minilm_v2"])
@pytest.mark.parametrize(
    "arguments",
    [{"relation_fraction": 0}, {"relation_fraction": 1}, {"relation_heads": 0}, {"teacher_layer": 0},
     {"relation_heads": "many"}, {"label_weight": 2}, {"loss_temperature": 0}],
)  # fmt: skip
def test_arguments_out_of_range_are_refused(name: str, arguments: dict[str, Any]) -> None:
    (argument,) = arguments
    with pytest.raises(ConfigError, match=rf"recipe\.{argument}"):
        build_recipe(name, arguments, "classification")
