"""The units of a transformer that can be cut: hidden units, attention heads and feed-forward neurons.

They are found by the shapes of the matrices in each layer, in the order in which the layer defines them: projections
of the hidden states into attention (queries, keys, values, or all in one), the projection out of it, one or two
projections into the feed-forward block (a gate is the second), and the one out of it. `limbeck.students.pruning.cut`
compares the outputs of a cut model with those of its masked original, so a model of another layout is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.layers import head_groups, heads, layer_list, width

__all__ = ["LayerUnits", "Shape", "Units", "as_rows_of_outputs", "in_features", "out_features", "units_of"]


@dataclass(frozen=True)
class Shape:
    """The widths of every layer of a model."""

    hidden: int
    heads: int
    """Heads of queries."""
    groups: int
    """Heads of keys and values; each belongs to as many heads of queries, and they are cut together."""
    head_width: int
    feed_forward: int

    def __str__(self) -> str:
        return f"hidden {self.hidden}, heads {self.heads}, feed_forward {self.feed_forward}"


@dataclass(frozen=True)
class LayerUnits:
    """The matrices of one layer, by their role."""

    projections: tuple[nn.Module, ...]
    """From the hidden states to queries, keys and values."""
    attention: nn.Module
    """From the heads back to the hidden states."""
    feeding: tuple[nn.Module, ...]
    """From the hidden states to neurons."""
    feed_forward: nn.Module
    """From the neurons back to the hidden states."""


@dataclass(frozen=True)
class Units:
    """All matrices and norms of a model that have to do with its hidden units, heads and neurons."""

    shape: Shape
    layers: tuple[nn.Module, ...]
    of_layers: tuple[LayerUnits, ...]
    norms: tuple[nn.Module, ...]
    """Norms over hidden units, in all parts of the model."""
    dense: tuple[nn.Module, ...]
    """Matrices outside layers, other than the one to the vocabulary, that give hidden units, such as a pooler's."""
    embeddings: tuple[nn.Embedding, ...]
    """Tables outside layers that give hidden units."""
    shared_heads: bool
    """Whether all layers share a table by heads (MPNet's relative positions), so they must keep the same heads."""


def in_features(module: nn.Module) -> int:
    """Return the number of inputs of a matrix."""
    return int(_weight(module).shape[0 if _is_transposed(module) else 1])


def out_features(module: nn.Module) -> int:
    """Return the number of outputs of a matrix."""
    return int(_weight(module).shape[1 if _is_transposed(module) else 0])


def as_rows_of_outputs(module: nn.Module, tensor: Tensor) -> Tensor:
    """Return a tensor of a matrix's shape as ``[outputs, inputs]``."""
    return tensor.T if _is_transposed(module) else tensor


def units_of(model: Any) -> Units:
    """Find the units of a model; it may have no storage.

    Raises:
        ModelError: the matrices of its layers are not laid out as said above.
    """
    layers = tuple(layer_list(model)[1])
    inside = {part for layer in layers for part in layer.modules()}
    of_layers = tuple(_of_layer(model, number, layer) for number, layer in enumerate(layers, start=1))
    shape = Shape(
        width(model), heads(model), head_groups(model),
        in_features(of_layers[0].attention) // heads(model), in_features(of_layers[0].feed_forward),
    )  # fmt: skip
    for number, layer in enumerate(of_layers, start=1):
        _require_shape(model, number, layer, shape)
    head = getattr(model, "get_output_embeddings", lambda: None)()
    outside = [module for module in model.modules() if module not in inside]
    return Units(
        shape=shape,
        layers=layers,
        of_layers=of_layers,
        norms=tuple(module for module in model.modules() if _is_norm(module, shape.hidden)),
        dense=tuple(m for m in outside if _is_matrix(m) and m is not head and out_features(m) == shape.hidden),
        embeddings=tuple(m for m in outside if isinstance(m, nn.Embedding) and m.embedding_dim == shape.hidden),
        shared_heads=any(isinstance(m, nn.Embedding) and m.embedding_dim == shape.heads for m in outside),
    )


def _weight(module: nn.Module) -> Tensor:
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight


def _is_transposed(module: nn.Module) -> bool:
    return type(module).__name__ == "Conv1D"  # GPT-2's, whose weight is [inputs, outputs]


def _is_matrix(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or _is_transposed(module)


def _is_norm(module: nn.Module, hidden: int) -> bool:
    weight = getattr(module, "weight", None)
    return "norm" in type(module).__name__.lower() and isinstance(weight, Tensor) and weight.shape == (hidden,)


def _of_layer(model: Any, number: int, layer: nn.Module) -> LayerUnits:
    """Return the matrices of a layer by their role, read from the last to the first."""
    hidden = width(model)
    matrices = [module for module in layer.modules() if _is_matrix(module)]
    if len(matrices) < 4 or out_features(matrices[-1]) != hidden:
        raise _unknown(model, f"layer {number} has {len(matrices)} matrices")
    # Queries, keys and values have one or three, what is behind them one; so with a gate their number is odd.
    gated = len(matrices) % 2
    projections, attention = matrices[: -3 - gated], matrices[-3 - gated]
    return LayerUnits(tuple(projections), attention, tuple(matrices[-2 - gated : -1]), matrices[-1])


def _require_shape(model: Any, number: int, layer: LayerUnits, shape: Shape) -> None:
    """Refuse a layer whose matrices have other widths than their roles.

    Raises:
        ModelError: as said.
    """
    queries, keys = shape.heads * shape.head_width, shape.groups * shape.head_width
    found = sorted(out_features(one) for one in layer.projections)
    checks: dict[str, Callable[[], bool]] = {
        "keys and values": lambda: shape.groups > 0 and shape.heads % shape.groups == 0,
        "projections into attention": lambda: found in (sorted([queries, keys, keys]), [queries + 2 * keys]),
        "the projection out of attention": lambda: (
            (in_features(layer.attention), out_features(layer.attention)) == (queries, shape.hidden)
        ),
        "projections into the feed-forward block": lambda: (
            sum(out_features(one) for one in layer.feeding) in (shape.feed_forward, 2 * shape.feed_forward)
        ),
        "the feed-forward block": lambda: in_features(layer.feed_forward) == shape.feed_forward,
        "inputs": lambda: all(in_features(one) == shape.hidden for one in (*layer.projections, *layer.feeding)),
    }
    for what, holds in checks.items():
        if not holds():
            raise _unknown(model, f"{what} of layer {number} have other widths")


def _unknown(model: Any, found: str) -> ModelError:
    return ModelError(
        f"cannot prune {type(model).__name__}: its layers are not attention and a feed-forward block with one matrix "
        f"for each role ({found}). Use student.from_teacher (whole layers), or name a student (student.model)"
    )
