"""Masks of ones change nothing; norms of a masked model are over the units that are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.students.pruning.conftest import FAMILIES
from torch import nn

from limbeck.models.trials import probe_ids
from limbeck.students.pruning.masked_units import Masks, masked
from limbeck.students.pruning.units import units_of

Make = Callable[..., Any]
KEPT = torch.tensor([1.0, 0.0, 1.0, 1.0] * 8)


@pytest.mark.parametrize("kind", FAMILIES)
def test_ones_change_nothing(make_family: Make, kind: str) -> None:
    model = make_family(kind)
    units, ids = units_of(model), probe_ids(model, 2, 7)
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        with masked(units, Masks.ones(units.shape, 2, torch.device("cpu"))):
            assert torch.equal(model(input_ids=ids).logits, expected)
        assert torch.equal(model(input_ids=ids).logits, expected)


@pytest.mark.parametrize("kind", ["bert", "llama", "gemma3_text"])
def test_norms_are_those_of_the_kept_units(make_family: Make, kind: str) -> None:
    model = make_family(kind)
    units, states = units_of(model), torch.randn(2, 5, 32) * 3 + 1
    masks = replace(Masks.ones(units.shape, 2, torch.device("cpu")), hidden_D=KEPT)
    norm: Any = units.norms[-1]
    with torch.no_grad(), masked(units, masks):
        found = norm(states)
    kept = KEPT.bool()
    part = states[..., kept]
    if isinstance(norm, nn.LayerNorm):
        expected = nn.functional.layer_norm(part, (24,), norm.weight[kept], norm.bias[kept], norm.eps)
    else:
        weight = norm.weight[kept] + (1 if kind.startswith("gemma") else 0)
        expected = part / (part.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt() * weight
    torch.testing.assert_close(found[..., kept], expected, rtol=1e-5, atol=1e-5)
    assert (found[..., ~kept] == 0).all()


def test_masked_units_have_no_say(make_family: Make) -> None:
    """Other weights of removed units give the same logits."""
    model = make_family("bert")
    units, ids = units_of(model), probe_ids(model, 2, 7)
    ones = Masks.ones(units.shape, 2, torch.device("cpu"))
    neurons, groups = torch.ones(2, 72), torch.ones(2, 4)
    neurons[:, 5], groups[1, 2] = 0, 0
    masks = replace(ones, neurons_LF=neurons, groups_LG=groups)
    with torch.no_grad(), masked(units, masks):
        expected = model(input_ids=ids).logits
        model.bert.encoder.layer[0].intermediate.dense.weight[5] += 7
        model.bert.encoder.layer[1].attention.self.value.weight[16:24] += 7
        assert torch.equal(model(input_ids=ids).logits, expected)
        model.bert.encoder.layer[1].attention.self.value.weight[8:16] += 7
        assert not torch.equal(model(input_ids=ids).logits, expected)


def test_more_or_fewer_layers_than_the_model_has_are_an_error(make_family: Make) -> None:
    units = units_of(make_family("bert"))
    with pytest.raises(ValueError, match="zip"), masked(units, Masks.ones(units.shape, 3, torch.device("cpu"))):
        pass
