"""Masks on the units of a model while it runs: zeros remove units, ones with gradients show what units matter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.students.pruning.units import LayerUnits, Shape, Units

__all__ = ["Masks", "masked"]


@dataclass(frozen=True)
class Masks:
    """Factors of all units; with one layer more or less than the model, `masked` fails."""

    hidden_D: Tensor
    """Hidden units, the same in all layers, because they add to one sum of states."""
    groups_LG: Tensor
    """Heads of keys and values of each layer, each with its heads of queries."""
    neurons_LF: Tensor

    @classmethod
    def ones(cls, shape: Shape, layers: int, device: torch.device) -> Masks:
        """Return masks that keep everything; they ask for gradients."""
        sizes = (shape.hidden,), (layers, shape.groups), (layers, shape.feed_forward)
        return cls(*(torch.ones(size, device=device, requires_grad=True) for size in sizes))

    def all(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return all masks."""
        return self.hidden_D, self.groups_LG, self.neurons_LF


@contextmanager
def masked(units: Units, masks: Masks) -> Iterator[None]:
    """Multiply the units of a model by masks while the block runs.

    Hidden units are masked wherever states are written: the input of the first layer, what attention and feed-forward
    blocks add, norms, and matrices after the layers. Heads are masked at the input of the matrix after them, and so
    are neurons. Norms are taken over the hidden units that are kept, as in a model that has only these.
    """
    hidden_D = masks.hidden_D
    per_head = units.shape.heads // units.shape.groups * units.shape.head_width
    with ExitStack() as hooks:

        def on(handle: Any) -> None:
            hooks.callback(handle.remove)

        on(units.layers[0].register_forward_pre_hook(partial(_mask_states, hidden_D), with_kwargs=True))
        for layer, groups_G, neurons_F in zip(units.of_layers, masks.groups_LG, masks.neurons_LF, strict=True):
            for handle in _on_layer(layer, hidden_D, groups_G.repeat_interleave(per_head), neurons_F):
                on(handle)
        for module in units.dense:
            on(module.register_forward_hook(partial(_mask_output, hidden_D)))
        kept = hidden_D.detach() != 0
        if not bool(kept.all()):
            for norm in units.norms:
                if isinstance(norm, nn.LayerNorm):
                    on(norm.register_forward_hook(partial(_layer_norm, hidden_D, kept)))
                    continue
                share = float(kept.float().mean()) ** 0.5
                on(norm.register_forward_pre_hook(partial(_mask_input, hidden_D / share)))
                on(norm.register_forward_hook(partial(_mask_output, hidden_D * share)))
        yield


def _on_layer(layer: LayerUnits, hidden_D: Tensor, heads_A: Tensor, neurons_F: Tensor) -> Iterator[Any]:
    yield layer.attention.register_forward_pre_hook(partial(_mask_input, heads_A))
    yield layer.feed_forward.register_forward_pre_hook(partial(_mask_input, neurons_F))
    for writer in (layer.attention, layer.feed_forward):
        yield writer.register_forward_hook(partial(_mask_output, hidden_D))


def _mask_states(mask: Tensor, _module: nn.Module, args: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    if args:
        return (args[0] * mask.to(args[0].dtype), *args[1:]), named
    states = named["hidden_states"]
    return args, {**named, "hidden_states": states * mask.to(states.dtype)}


def _mask_input(mask: Tensor, _module: nn.Module, args: Any) -> Any:
    return (args[0] * mask.to(args[0].dtype), *args[1:])


def _mask_output(mask: Tensor, _module: nn.Module, _args: Any, output: Tensor) -> Tensor:
    return output * mask.to(output.dtype)


def _layer_norm(mask: Tensor, kept: Tensor, module: Any, args: Any, _output: Tensor) -> Tensor:
    """Return the norm of the kept units: mean and variance are theirs.

    The norm of the root mean square needs no such copy: zeros add nothing to the sum of squares, and the share of
    kept units corrects its mean.
    """
    states = args[0].float()
    weights = kept / kept.sum()
    centred = states - (states * weights).sum(dim=-1, keepdim=True)
    variance = (centred.square() * weights).sum(dim=-1, keepdim=True)
    normed = centred * torch.rsqrt(variance + module.eps) * module.weight
    shifted: Tensor = normed if module.bias is None else normed + module.bias
    return (shifted * mask).to(args[0].dtype)
