"""Scores are absolute values of sums over columns, which are the derivatives in the masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from limbeck.models.trials import probe_ids
from limbeck.students.pruning.importance import measure_importance
from limbeck.students.pruning.scores import column_scores
from limbeck.students.pruning.units import LayerUnits, Shape, Units, units_of

Make = Callable[..., Any]


def matrix(weight: Tensor, gradient: Tensor) -> nn.Linear:
    found = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    found.weight.data = weight.clone()
    found.weight.grad = gradient.clone()
    return found


def test_effects_that_cancel_count_as_nothing() -> None:
    """Sums of absolute values would be .2, .5, .5."""
    weight, gradient = torch.tensor([[1, -2, 0.5], [0, 1, 3]]), torch.tensor([[0.2, 0.1, -0.4], [1, -0.3, 0.1]])
    part = matrix(weight, gradient)
    layer = LayerUnits((), part, (), part)
    shape = Shape(hidden=2, heads=3, groups=3, head_width=1, feed_forward=3)
    units = Units(shape, (nn.Identity(),), (layer,), (), (), (), shared_heads=False)
    found = column_scores(None, units)
    torch.testing.assert_close(found.neurons_LF, torch.tensor([[0.2, 0.5, 0.1]]))
    torch.testing.assert_close(found.groups_LG, torch.tensor([[0.2, 0.5, 0.1]]))
    rows = (weight * gradient).sum(dim=1)
    torch.testing.assert_close(found.hidden_D, (2 * rows).abs())


def loss_of(model: Any, _batch: Any) -> Tensor:
    ids = probe_ids(model, 3, 9)
    logits: Tensor = model(input_ids=ids).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, -2), torch.arange(len(logits.flatten(0, -2))) % 3)


@pytest.mark.parametrize("kind", ["bert", "llama", "gpt2"])
def test_scores_of_heads_and_neurons_are_their_importance_in_this_batch(make_family: Make, kind: str) -> None:
    model = make_family(kind)
    expected = measure_importance(model, [{}], loss_of)
    loss_of(model, None).backward()  # type: ignore[no-untyped-call]
    found = column_scores(model, units_of(model))
    torch.testing.assert_close(found.neurons_LF.double(), expected.neurons_LF, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(found.groups_LG.double(), expected.groups_LG, rtol=1e-3, atol=1e-6)


def test_scores_of_hidden_units_are_those_of_all_that_writes_them(make_family: Make) -> None:
    """In a decoder with norms before its layers and a head of its own, this is the derivative in one mask."""
    model = make_family("llama", tie_word_embeddings=False)
    expected = measure_importance(model, [{}], loss_of).hidden_D
    loss_of(model, None).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(column_scores(model, units_of(model)).hidden_D.double(), expected, rtol=1e-3, atol=1e-6)


def test_weights_that_are_not_trained_do_not_count(make_family: Make) -> None:
    model = make_family("bert")
    model.get_input_embeddings().weight.requires_grad_(False)
    loss_of(model, None).backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(column_scores(model, units_of(model)).hidden_D).all()
