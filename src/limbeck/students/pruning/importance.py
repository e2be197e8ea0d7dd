"""How much each unit of a model matters to a loss: its first-order change if the unit were removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from limbeck.students.pruning.masked_units import Masks, masked
from limbeck.students.pruning.units import Shape, Units, units_of
from limbeck.types import Batch

__all__ = ["Importance", "Kept", "measure_importance"]


@dataclass(frozen=True)
class Kept:
    """The units that a cut model keeps, in the order in which it holds them."""

    hidden: Tensor
    groups: tuple[Tensor, ...]
    """Of each layer."""
    neurons: tuple[Tensor, ...]
    """Of each layer."""

    @classmethod
    def first(cls, units: Units, shape: Shape) -> Kept:
        """Return the first units, for a model of this shape with arbitrary weights."""
        layers = len(units.layers)
        groups, neurons = torch.arange(shape.groups), torch.arange(shape.feed_forward)
        return cls(torch.arange(shape.hidden), (groups,) * layers, (neurons,) * layers)


@dataclass(frozen=True)
class Importance:
    """The importance of each unit, by layer; that of hidden units is one list."""

    hidden_D: Tensor
    groups_LG: Tensor
    neurons_LF: Tensor

    def normalised(self) -> Importance:
        """Return it with a Euclidean norm of 1 in each layer, so that layers with large gradients count no more."""
        rows = (self.hidden_D, self.groups_LG, self.neurons_LF)
        return Importance(*(torch.nn.functional.normalize(part.double(), dim=-1) for part in rows))

    def of_layers(self, layers: Iterable[int]) -> Importance:
        """Return that of a model with copies of these layers, counted from 1."""
        picked = [layer - 1 for layer in layers]
        return Importance(self.hidden_D, self.groups_LG[picked], self.neurons_LF[picked])

    def keep(self, shape: Shape, *, shared_heads: bool) -> Kept:
        """Return the most important units for a shape that is the same in all layers, each kind in its old order.

        Args:
            shape: how many are kept.
            shared_heads: whether all layers must keep the same heads: those with the highest sum.
        """
        found = self.normalised()
        groups_LG = found.groups_LG
        if shared_heads:
            groups_LG = groups_LG.sum(dim=0, keepdim=True).expand_as(groups_LG)
        return Kept(
            _largest(found.hidden_D, shape.hidden),
            tuple(_largest(row, shape.groups) for row in groups_LG),
            tuple(_largest(row, shape.feed_forward) for row in found.neurons_LF),
        )


def measure_importance(model: Any, batches: Iterable[Batch], loss: Callable[[Any, Batch], Tensor]) -> Importance:
    """Return the mean over batches of ``|d loss / d mask|``, for masks of ones on all units of a model.

    The derivative for a head is the product of its output with the gradient there, ``<o_h, dL/do_h>``, summed over
    positions: to first order, what removing it adds to the loss. The absolute value is taken of each batch, not of
    each token. The model is in evaluation mode (the released code is in training mode, which matters only to models
    with dropout).

    Paper: Zhang et al. 2023, "Towards the Law of Capacity Gap in Distilling Language Models" (MiniMA),
    arXiv:2311.07052; Michel, Levy, Neubig 2019, "Are Sixteen Heads Really Better than One?", arXiv:1905.10650, eq. 2

    Args:
        model: any model whose units can be told apart (`units_of`).
        batches: on the model's device.
        loss: the mean loss of a batch.

    Raises:
        ModelError: the units of the model cannot be told apart.
    """
    units = units_of(model)
    masks = Masks.ones(units.shape, len(units.layers), next(model.parameters()).device)
    sums, count = [torch.zeros_like(mask, dtype=torch.float64) for mask in masks.all()], 0
    with _evaluating(model), masked(units, masks):
        for batch in batches:
            gradients = torch.autograd.grad(loss(model, batch), masks.all())
            for total, gradient in zip(sums, gradients, strict=True):
                total += gradient.abs()
            count += 1
    assert count, "no batches"
    return Importance(*(total.cpu() / count for total in sums))


def _largest(importance: Tensor, count: int) -> Tensor:
    """Return the places of the largest values, in ascending order; of equal ones, the first."""
    return importance.sort(descending=True, stable=True).indices[:count].sort().values


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Put a model into evaluation mode without gradients of its weights for the block."""
    modes = [(module, module.training) for module in model.modules()]
    asked = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        model.eval()
        for parameter in asked:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter in asked:
            parameter.requires_grad_(True)
