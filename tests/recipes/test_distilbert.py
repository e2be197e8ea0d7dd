"""The weights of the released code."""

from __future__ import annotations

from limbeck.losses.hints.hidden import LastHiddenCosine
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.recipes.distilbert import distilbert
from limbeck.sequences.given import GivenRows


def test_defaults_are_those_of_the_released_code() -> None:
    (stage,) = distilbert().stages
    assert {t.term: t.weight for t in stage.terms} == {
        ForwardKL(2.0): 5.0,
        LabelCrossEntropy(): 2.0,
        LastHiddenCosine(): 1.0,
    }
    assert stage.source == GivenRows()


def test_every_weight_reaches_its_own_term() -> None:
    (stage,) = distilbert(loss_temperature=4.0, soft_target_weight=0.1, label_weight=0.2, cosine_weight=0.3).stages
    assert {t.term: t.weight for t in stage.terms} == {
        ForwardKL(4.0): 0.1,
        LabelCrossEntropy(): 0.2,
        LastHiddenCosine(): 0.3,
    }


def test_without_the_cosine_term_tokenizers_may_differ() -> None:
    assert distilbert().needs.same_tokens
    assert not distilbert(cosine_weight=0).needs.same_tokens
