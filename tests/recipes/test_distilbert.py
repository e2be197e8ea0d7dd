"""The weights of the released code."""

from __future__ import annotations

from limbeck.losses.hints.hidden import LastHiddenCosine
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.recipes.catalogue import build_recipe
from limbeck.recipes.distilbert import distilbert
from limbeck.sequences.given import GivenRows


def test_defaults_are_those_of_the_released_code() -> None:
    (stage,) = distilbert().stages
    assert {t.term: t.weight for t in stage.terms} == {
        ForwardKL(2.0, everywhere=True): 5.0,
        LabelCrossEntropy(): 2.0,
        LastHiddenCosine(): 1.0,
    }
    assert stage.source == GivenRows()


def test_every_weight_reaches_its_own_term() -> None:
    arguments = {"loss_temperature": 4.0, "soft_target_weight": 0.1, "label_weight": 0.2, "cosine_weight": 0.3}
    (stage,) = distilbert(**arguments, soft_targets_at="masks").stages  # type: ignore[arg-type]
    assert {t.term: t.weight for t in stage.terms} == {
        ForwardKL(4.0): 0.1,
        LabelCrossEntropy(): 0.2,
        LastHiddenCosine(): 0.3,
    }


def test_tokens_are_a_choice_for_plain_text_alone() -> None:
    of_labels, of_text = (build_recipe("distilbert", {}, kind).stages[0] for kind in ("classification", "masked_lm"))
    assert [t.term for t in of_labels.terms] == [ForwardKL(2.0), LabelCrossEntropy(), LastHiddenCosine()]
    assert [t.term for t in of_text.terms] == [
        ForwardKL(2.0, everywhere=True), LabelCrossEntropy(), LastHiddenCosine(by_token=True),
    ]  # fmt: skip


def test_without_the_cosine_term_tokenizers_may_differ() -> None:
    assert distilbert().needs.same_tokens
    assert not distilbert(cosine_weight=0).needs.same_tokens
