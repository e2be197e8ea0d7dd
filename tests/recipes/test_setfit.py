"""Pairs first, then a head."""

from __future__ import annotations

import pytest

from limbeck.errors import ConfigError
from limbeck.losses.contrastive import PairCosine, SupervisedContrastive
from limbeck.recipes.catalogue import build_recipe
from limbeck.recipes.linear_probe import probe
from limbeck.recipes.setfit import setfit
from limbeck.sequences.class_pairs import ClassPairs


def test_pairs_of_labelled_rows_then_a_head_without_steps() -> None:
    contrastive, last = setfit().stages
    assert [t.term for t in contrastive.terms] == [PairCosine()]
    assert (contrastive.source, contrastive.share, contrastive.fit_head) == (ClassPairs(), 1, False)
    assert last == probe(1.0)
    assert setfit().plain
    assert contrastive.labelled_only


def test_the_other_loss_compares_all_rows_of_a_step_and_needs_pairs_of_one_class() -> None:
    contrastive, last = setfit(loss="supervised_contrastive", similarity_temperature=0.2).stages
    assert [t.term for t in contrastive.terms] == [SupervisedContrastive(0.2)]
    assert contrastive.source == ClassPairs(negatives=False)
    assert last == probe(1.0)


def test_refusals() -> None:
    with pytest.raises(ConfigError, match=r"recipe\.loss: Input should be 'cosine' or 'supervised_contrastive'"):
        build_recipe("setfit", {"loss": "triplet"}, "classification")
    with pytest.raises(ConfigError, match=r"recipe\.similarity_temperature: Input should be greater than 0"):
        build_recipe("setfit", {"similarity_temperature": 0}, "classification")
    with pytest.raises(ConfigError, match="recipe 'setfit' is for classification runs, not for regression runs"):
        build_recipe("setfit", {}, "regression")
