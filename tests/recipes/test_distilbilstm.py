"""The terms of DistilBiLSTM and their weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import LogitDistance
from limbeck.recipes.catalogue import build_recipe, recipe_card
from limbeck.recipes.distilbilstm import distilbilstm
from limbeck.types import Batch, Signal


@pytest.mark.parametrize("logit_weight", [0.0, 0.3, 1.0])
def test_the_weights_add_up_to_1(logit_weight: float) -> None:
    (stage,) = distilbilstm(logit_weight=logit_weight).stages
    assert {t.term: t.weight for t in stage.terms} == {
        LogitDistance(): pytest.approx(logit_weight),
        LabelCrossEntropy(): pytest.approx(1 - logit_weight),
    }


def test_no_label_is_read_by_default() -> None:
    assert distilbilstm().needs.logits
    assert not distilbilstm().needs.labels
    assert distilbilstm(logit_weight=0.5).needs.labels
    assert not distilbilstm(logit_weight=0).needs.teacher


def test_the_loss_and_its_gradient() -> None:
    (logits, _) = distilbilstm().stages[0].terms
    student = torch.tensor([[1.0, 0.5]], dtype=torch.float64, requires_grad=True)
    teacher: Signal = {"logits": torch.tensor([[2.0, -1.0]], dtype=torch.float64)}
    values = logits.term.values({"logits": student}, teacher, _batch())
    assert values.tolist() == [1.625]
    values.sum().backward()
    wanted: Tensor = 2 * (student.detach() - teacher["logits"]) / 2
    torch.testing.assert_close(student.grad, wanted)
    assert logits.term.values(teacher, teacher, _batch()).tolist() == [0.0]


def test_its_kinds_and_arguments() -> None:
    assert recipe_card("distilbilstm").kinds == (
        "classification", "token_classification", "regression", "multi_label"
    )  # fmt: skip
    assert "augment" in recipe_card("distilbilstm").left_out
    with pytest.raises(ConfigError, match="logit_weight"):
        build_recipe("distilbilstm", {"logit_weight": 1.5}, "classification")


def _batch() -> Batch:
    return {"labels_B": torch.tensor([-1]), "rows_B": torch.tensor([0])}
