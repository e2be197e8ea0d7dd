"""How much the loss depends on each unit, by the weights and gradients of a training step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from limbeck.students.pruning.importance import Importance
from limbeck.students.pruning.units import Units, as_rows_of_outputs

__all__ = ["column_scores"]


@torch.no_grad()
def column_scores(model: Any, units: Units) -> Importance:
    """Return ``|sum W * dL/dW|`` for each unit: to first order, what the loss gains if the unit is set to 0.

    The sum is over the column of the matrix that the unit's output enters: of a neuron in the matrix out of its
    feed-forward block, of a head in the matrix out of attention. Hidden units are written in many places and have one
    score: the sum is over their columns of the embeddings, and their rows of the matrices (and biases) that add to
    them in any layer. The absolute value is that of the sum, so weights whose effects cancel count as nothing.

    Reference: Liang et al. 2023 (HomoDistil), arXiv:2302.09632, section 3; Molchanov et al. 2019, "Importance
    Estimation for Neural Network Pruning", arXiv:1906.10771.

    Args:
        model: with the gradients of a step.
        units: of the model.
    """
    shape = units.shape
    hidden_D = sum(_products(table.weight).sum(dim=0) for table in units.embeddings)
    groups, neurons = [], []
    for layer in units.of_layers:
        into_attention, into_feed_forward = (
            as_rows_of_outputs(module, _products(module.weight)) for module in (layer.attention, layer.feed_forward)
        )
        groups.append(into_attention.sum(dim=0).view(shape.groups, -1).sum(dim=1).abs())
        neurons.append(into_feed_forward.sum(dim=0).abs())
        hidden_D = hidden_D + into_attention.sum(dim=1) + into_feed_forward.sum(dim=1)
        for module in (layer.attention, layer.feed_forward):
            if isinstance(module.bias, Tensor):
                hidden_D = hidden_D + _products(module.bias)
    assert isinstance(hidden_D, Tensor)
    return Importance(hidden_D.abs(), torch.stack(groups), torch.stack(neurons))


def _products(weight: Tensor | nn.Module) -> Tensor:
    """Return the products of weights with their gradients; 0 where nothing is trained."""
    assert isinstance(weight, Tensor)
    return torch.zeros_like(weight, dtype=torch.float32) if weight.grad is None else (weight * weight.grad).float()
