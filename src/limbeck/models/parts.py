"""A model in parts from its head down: what of it is trained first where one part after the other is unfrozen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import nn

from limbeck.errors import ConfigError, ModelError
from limbeck.models.layers import depth, layer_list
from limbeck.models.trials import short_row, undisturbed

__all__ = ["Parts", "parts_of", "require_parts"]


@dataclass(frozen=True)
class Parts:
    """The parameters of a model, each in one part."""

    head: list[nn.Parameter]
    """Of everything after the last layer: also a pooler, or a decoder's last norm."""
    below: list[list[nn.Parameter]]
    """Groups of layers from the top; the last one also has or is the embeddings and whatever else is left."""


def require_parts(model: Any, number: int) -> None:
    """Check that the layers of a model can be told apart and fill so many parts below the head.

    Args:
        model: any Hugging Face model; it may have no storage.
        number: of parts, the embeddings counted.

    Raises:
        ConfigError: it has too few layers.
        ModelError: as `layer_list`.
    """
    layer_list(model)
    if number - 1 > depth(model):
        raise ConfigError(
            f"the recipe unfreezes the student in {number} parts below its head, which are groups of layers and the "
            f"embeddings, and it has {depth(model)} layers: at most {depth(model) + 1} parts (recipe.modules)"
        )


def parts_of(model: Any, number: int = 1) -> Parts:
    """Divide a model into its head and parts below it: equally large groups of layers, and the embeddings.

    Where the layers cannot be divided equally, lower groups are larger. A single part is everything below the head.
    What comes after the last layer is found by reading a short row: neither names nor the order in which modules were
    made tell. Parameters that the head shares with the embeddings belong to the head.

    Args:
        model: any Hugging Face model with one list of layers, in storage.
        number: of parts below the head.

    Raises:
        ConfigError, ModelError: as `require_parts`; or the model cannot be run on text alone.
    """
    require_parts(model, number)
    layers = list(layer_list(model)[1])
    found = _modules_after(layers[-1], model)
    if not found:
        raise ModelError(
            f"cannot tell the head of {type(model).__name__} from what is below it: no module is called after its "
            "last layer, or it reads more than text. Use another model, or a recipe that trains the whole student"
        )
    taken: set[int] = set()
    in_layers = {id(parameter) for layer in layers for parameter in layer.parameters()}
    after = (parameter for module in found for parameter in module.parameters(recurse=False))
    head = _new(taken, (parameter for parameter in after if id(parameter) not in in_layers))
    layers.reverse()
    groups = number - 1
    ends = [group * len(layers) // groups for group in range(groups + 1)] if groups else []
    below = [
        _new(taken, (parameter for layer in layers[start:end] for parameter in layer.parameters()))
        for start, end in pairwise(ends)
    ]
    return Parts(head, [*below, _new(taken, model.parameters())])


def _new(taken: set[int], parameters: Iterator[nn.Parameter]) -> list[nn.Parameter]:
    """Return the parameters that are in no part yet, and mark them as taken."""
    found = []
    for parameter in parameters:
        if id(parameter) not in taken:
            taken.add(id(parameter))
            found.append(parameter)
    return found


def _modules_after(layer: nn.Module, model: Any) -> list[nn.Module]:
    """Return the modules that a forward pass calls after `layer` has ended; none if the model cannot be run."""
    ended: list[bool] = []
    after: list[nn.Module] = []

    def call(module: nn.Module, _: object) -> None:
        if ended:
            after.append(module)

    with ExitStack() as hooks, undisturbed(model):
        for module in model.modules():
            hooks.callback(module.register_forward_pre_hook(call).remove)
        hooks.callback(layer.register_forward_hook(lambda *_: ended.append(True)).remove)
        try:
            model(**short_row(model))
        except Exception:  # a model that needs more than text
            return []
    return after
