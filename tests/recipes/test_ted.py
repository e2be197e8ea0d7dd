"""The stages of TED, and what is left of it without hints."""

from __future__ import annotations

from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.losses.hints.filters import FilteredStates, LayerFilters
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.targets import BinaryCrossEntropy, SquaredError
from limbeck.recipes.catalogue import build_recipe
from limbeck.recipes.kd import kd
from limbeck.recipes.ted import ted
from limbeck.sequences.given import GivenRows


def test_three_stages() -> None:
    first, filters, last = ted().stages
    assert [stage.share for stage in (first, filters, last)] == [0.25, 0.25, 0.5]
    assert [t.term for t in first.terms] == [LabelCrossEntropy()]
    assert [t.term for t in filters.terms] == [LayerFilters(side="student"), LayerFilters(side="teacher")]
    assert [stage.trains_student for stage in (first, filters, last)] == [True, False, True]
    assert [stage.source for stage in (first, filters)] == [GivenRows("labelled")] * 2
    assert {t.name: (t.term, t.weight) for t in last.terms} == {
        "labels": (LabelCrossEntropy(), 1.0),
        "divergence": (ForwardKL(2.0), 20.0),
        "hints": (FilteredStates(), 100.0),
    }
    assert filters.only_hints  # nothing to judge on development rows: the student stays as it is
    assert not last.only_hints


def test_a_student_that_knows_the_task_is_not_fine_tuned_first() -> None:
    filters, last = ted(fine_tune_fraction=0, filter_fraction=0.4, layer_map="cka", filter_width=9).stages
    assert (filters.share, last.share) == pytest.approx((0.4, 0.6))
    assert [t.term for t in filters.terms] == [LayerFilters("cka", 9, "student"), LayerFilters("cka", 9, "teacher")]
    assert last.terms[-1].term == FilteredStates("cka", 9)


def test_without_hints_it_is_kd() -> None:
    (only,) = ted(hint_weight=0, label_weight=0.5, soft_target_weight=0.5).stages
    (of_kd,) = kd().stages
    assert tuple(t for t in only.terms if t.weight) == of_kd.terms
    assert (only.share, only.source, only.trains_student) == (of_kd.share, of_kd.source, of_kd.trains_student)


@pytest.mark.parametrize(("kind", "loss"), [("regression", SquaredError()), ("multi_label", BinaryCrossEntropy())])
def test_other_kinds_have_their_own_losses(kind: str, loss: Any) -> None:
    _, filters, last = build_recipe("ted", {}, kind).stages
    assert {t.term.task for t in filters.terms if isinstance(t.term, LayerFilters)} == {loss}
    if kind == "regression":  # of one logit, a KL divergence is always 0
        assert last.terms[0].term == SquaredError("teacher")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fine_tune_fraction": 0.5, "filter_fraction": 0.5}, "add up to less than 1"),
        ({"filter_fraction": 0}, r"recipe\.filter_fraction"),
        ({"hint_weight": -1}, r"recipe\.hint_weight"),
        ({"filter_width": 0}, r"recipe\.filter_width"),
        ({"layer_map": "skip"}, r"recipe\.layer_map"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_recipe("ted", arguments, "classification")


@pytest.mark.parametrize("kind", ["generation", "masked_lm", "ranking"])
def test_kinds_without_a_head_are_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match="recipe 'ted' is for classification runs"):
        build_recipe("ted", {}, kind)
