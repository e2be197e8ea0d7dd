"""Distillation without labels, then fine-tuning if asked."""

from __future__ import annotations

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import TeacherCrossEntropy
from limbeck.recipes.pd import pd
from limbeck.sequences.given import GivenRows


def test_by_default_no_label_is_read() -> None:
    (stage,) = pd().stages
    assert [(t.term, t.weight) for t in stage.terms] == [(TeacherCrossEntropy(hard=False, unsure_weight=1.0), 1.0)]
    assert (stage.share, stage.source) == (1.0, GivenRows())
    assert not pd().needs.labels


def test_fine_tuning_comes_last() -> None:
    first, last = pd(fine_tune_fraction=0.25).stages
    assert first.terms == pd().stages[0].terms
    assert (first.share, last.share, last.source) == (0.75, 0.25, GivenRows("labelled"))
    assert [(t.term, t.weight) for t in last.terms] == [(LabelCrossEntropy(), 1.0)]
