"""The terms of MiniLM, and the stage that teaches the task."""

from __future__ import annotations

import pytest

from limbeck.losses.hints.relations import AttentionRelation
from limbeck.losses.term import needs_of
from limbeck.recipes.kd import kd
from limbeck.recipes.minilm import minilm
from limbeck.sequences.given import GivenRows


def test_relations_weigh_the_same_and_read_no_labels() -> None:
    relations, _ = minilm().stages
    assert {t.name: (t.term, t.weight) for t in relations.terms} == {
        "attention": (AttentionRelation("query", "key"), 1.0),
        "values": (AttentionRelation("value", "value"), 1.0),
    }
    needs = needs_of(relations.terms)
    assert {needs.labels, needs.logits} == {False}
    assert needs.same_tokens
    assert needs.same_heads
    assert relations.source == GivenRows()
    assert not relations.packable


@pytest.mark.parametrize(("loss_temperature", "label_weight"), [(2.0, 0.5), (4.0, 0.0), (1.0, 1.0)])
def test_the_second_stage_is_that_of_kd(loss_temperature: float, label_weight: float) -> None:
    made = minilm(relation_fraction=0.8, loss_temperature=loss_temperature, label_weight=label_weight)
    assert [stage.share for stage in made.stages] == pytest.approx([0.8, 0.2])
    (task,) = kd(loss_temperature=loss_temperature, label_weight=label_weight).stages
    assert made.stages[1].terms == task.terms
    assert made.stages[1].name == "kd"
    assert made.needs.labels == (label_weight > 0)
