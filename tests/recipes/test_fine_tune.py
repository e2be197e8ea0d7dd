"""The baseline: labels alone."""

from __future__ import annotations

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.recipes.fine_tune import fine_tune
from limbeck.sequences.given import GivenRows


def test_one_stage_on_the_labelled_rows() -> None:
    (stage,) = fine_tune().stages
    assert stage.source == GivenRows("labelled")
    assert [(t.term, t.weight) for t in stage.terms] == [(LabelCrossEntropy(), 1.0)]
