"""A head alone, without a step."""

from __future__ import annotations

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.recipes.linear_probe import linear_probe
from limbeck.sequences.given import GivenRows


def test_one_stage_without_steps_on_the_labelled_rows() -> None:
    recipe = linear_probe()
    (stage,) = recipe.stages
    assert (stage.share, stage.fit_head, stage.source) == (0, True, GivenRows("labelled"))
    assert [t.term for t in stage.terms] == [LabelCrossEntropy()]
    assert recipe.plain
