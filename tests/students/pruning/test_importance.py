"""Importance is the first-order change of the loss, by finite differences, by inner products and on planted units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.models.trials import probe_ids
from limbeck.students.pruning.importance import Importance, measure_importance
from limbeck.students.pruning.masked_units import Masks, masked
from limbeck.students.pruning.units import Shape, units_of
from limbeck.types import Batch

Make = Callable[..., Any]
FAMILIES = pytest.mark.parametrize("kind", ["bert", "llama", "gpt2"])
BATCHES: list[Any] = [0, 1]


def loss_of(model: Any, batch: Batch) -> Tensor:
    """Return a loss that differs from batch to batch."""
    ids = probe_ids(model, 4, 9)[2 * int(batch) : 2 * int(batch) + 2]  # type: ignore[call-overload]
    logits: Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, -2), torch.arange(len(logits.flatten(0, -2))) % 3)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_it_is_the_mean_of_the_absolute_derivative_of_each_batch(make_family: Make, kind: str) -> None:
    """Against central differences of the loss in each mask, in double precision (which norms of Llama are not in)."""
    model = make_family(kind, num_hidden_layers=1).double()
    units, found = units_of(model), measure_importance(model, BATCHES, loss_of)
    ones = Masks.ones(units.shape, 1, torch.device("cpu"))
    for name in ("hidden_D", "groups_LG", "neurons_LF"):
        importance = getattr(found, name)
        for place in [(0,) * importance.dim(), (*(0,) * (importance.dim() - 1), 1)]:
            slopes = []
            for batch in BATCHES:
                ends = []
                for change in (1e-5, -1e-5):
                    changed = getattr(ones, name).detach().double().clone()
                    changed[place] += change
                    with torch.no_grad(), masked(units, replace(ones, **{name: changed})):
                        ends.append(float(loss_of(model, batch)))
                slopes.append(abs(ends[0] - ends[1]) / 2e-5)
            assert float(importance[place]) == pytest.approx(sum(slopes) / 2, rel=1e-5, abs=1e-10)


@FAMILIES
def test_the_derivative_of_a_head_is_its_output_times_the_gradient_there(make_family: Make, kind: str) -> None:
    model = make_family(kind)
    units, shape = units_of(model), units_of(model).shape
    inputs: list[Tensor] = []

    def keep(_module: Any, args: Any) -> None:
        args[0].retain_grad()
        inputs.append(args[0])

    hooks = [layer.attention.register_forward_pre_hook(keep) for layer in units.of_layers]
    loss_of(model, BATCHES[0]).backward()  # type: ignore[no-untyped-call]
    for hook in hooks:
        hook.remove()
    expected = [
        (one * one.grad).flatten(0, 1).unflatten(-1, (shape.groups, -1)).sum(dim=(0, 2)).abs()
        for one in inputs
        if one.grad is not None
    ]
    found = measure_importance(model, BATCHES[:1], loss_of).groups_LG
    torch.testing.assert_close(found.float(), torch.stack(expected), rtol=1e-4, atol=1e-6)


def test_the_model_is_left_as_it_was(make_family: Make) -> None:
    model = make_family("bert").train()
    model.classifier.bias.requires_grad_(False)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    measure_importance(model, BATCHES, loss_of)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert [name for name, weight in model.named_parameters() if not weight.requires_grad] == ["classifier.bias"]
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_units_without_effect_are_the_first_to_go(make_family: Make, kind: str) -> None:
    """Neurons and heads whose outputs are multiplied by 0 have no importance, and the others are kept."""
    model = make_family(kind)
    units = units_of(model)
    dead_neurons, dead_group = torch.arange(0, 72, 2), 1
    per_group = units.shape.heads * units.shape.head_width // units.shape.groups
    with torch.no_grad():
        for layer in units.of_layers:
            layer.feed_forward.weight[:, dead_neurons] = 0  # type: ignore[index]
            layer.attention.weight[:, dead_group * per_group : (dead_group + 1) * per_group] = 0  # type: ignore[index]
    found = measure_importance(model, BATCHES, loss_of)
    assert (found.neurons_LF[:, dead_neurons] == 0).all()
    assert (found.groups_LG[:, dead_group] == 0).all()
    groups, of_group = units.shape.groups - 1, units.shape.heads // units.shape.groups
    shape = replace(units.shape, groups=groups, heads=groups * of_group, feed_forward=36)
    kept = found.keep(shape, shared_heads=False)
    assert all(torch.equal(neurons, torch.arange(1, 72, 2)) for neurons in kept.neurons)
    assert all(dead_group not in groups for groups in kept.groups)


SHAPE = Shape(hidden=2, heads=1, groups=1, head_width=4, feed_forward=2)
PLANTED = Importance(
    torch.tensor([0.1, 3.0, 0.2, 2.0]),
    torch.tensor([[5.0, 4.0], [0.2, 0.4]]),
    torch.tensor([[0.0, 1.0, 2.0], [7.0, 1.0, 8.0]]),
)


def test_the_most_important_are_kept_in_their_order() -> None:
    kept = PLANTED.keep(SHAPE, shared_heads=False)
    assert kept.hidden.tolist() == [1, 3]
    assert [groups.tolist() for groups in kept.groups] == [[0], [1]]
    assert [neurons.tolist() for neurons in kept.neurons] == [[1, 2], [0, 2]]


def test_of_equal_ones_the_first_are_kept() -> None:
    equal = Importance(torch.ones(4), torch.ones(2, 2), torch.zeros(2, 3))
    kept = equal.keep(SHAPE, shared_heads=False)
    assert kept.hidden.tolist() == [0, 1]
    assert [neurons.tolist() for neurons in kept.neurons] == [[0, 1], [0, 1]]


def test_layers_that_share_heads_keep_those_that_matter_most_in_all_each_layer_counting_the_same() -> None:
    """The first layer's gradients are larger, and would decide for its first head; by share the second wins."""
    kept = PLANTED.keep(SHAPE, shared_heads=True)
    assert [groups.tolist() for groups in kept.groups] == [[1], [1]]


def test_each_layer_is_normalised_to_length_1() -> None:
    found = PLANTED.normalised()
    for part in (found.hidden_D[None], found.groups_LG, found.neurons_LF):
        torch.testing.assert_close(part.norm(dim=-1), torch.ones(len(part), dtype=torch.float64))


def test_importance_of_copied_layers_is_that_of_their_originals() -> None:
    found = PLANTED.of_layers([2])
    assert found.groups_LG.tolist() == [PLANTED.groups_LG[1].tolist()]
    assert found.neurons_LF.tolist() == [[7.0, 1.0, 8.0]]
