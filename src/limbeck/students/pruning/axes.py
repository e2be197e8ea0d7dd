"""Which axes of a model's tensors count its units, and which places on them are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.students.pruning.importance import Kept
from limbeck.students.pruning.units import LayerUnits, Shape, as_rows_of_outputs, out_features, units_of

__all__ = ["Axes", "unit_axes"]

Axes = list[tuple[int, Tensor]]
"""Axes of a tensor, and the places that are kept on each."""


def unit_axes(model: Any, student: Any, kept: Kept) -> Iterator[tuple[str, Axes]]:
    """Yield the name and the axes of each tensor in a model's state that a student of its class has too.

    Matrices in layers have axes by their role. All other tensors have those that are as long as the model is wide, and
    in the student as long as the student is wide; a table by heads that all layers share has that of the heads.

    Args:
        model: whose units are kept in part.
        student: a model of the same class and the shape in the end. Only its shape counts.
        kept: units of `model`; may be more than the student has.
    """
    units, after = units_of(model), units_of(student).shape
    lengths = [(units.shape.hidden, after.hidden, kept.hidden)]
    if units.shared_heads and after.heads < units.shape.heads:
        lengths.append((units.shape.heads, after.heads, kept.groups[0]))
    sides: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    for layer, groups, neurons in zip(units.of_layers, kept.groups, kept.neurons, strict=True):
        sides |= _sides(units.shape, layer, kept.hidden, groups, neurons)
    owners, wanted = dict(model.named_modules()), student.state_dict()
    for name, tensor in model.state_dict().items():
        if name not in wanted:
            continue
        owner = owners[name.rpartition(".")[0]]
        if owner in sides:
            yield name, _of_matrix(owner, tensor, *sides[owner])
        else:
            yield name, _of_other(tensor, wanted[name], lengths)


def _sides(
    shape: Shape, layer: LayerUnits, hidden: Tensor, groups: Tensor, neurons: Tensor
) -> dict[nn.Module, tuple[Tensor, Tensor]]:
    """Return the kept inputs and outputs of each matrix in a layer."""
    keys = _spread(groups, shape.head_width)
    queries = _spread(groups, shape.head_width * (shape.heads // shape.groups))
    widths = (shape.heads * shape.head_width, shape.groups * shape.head_width)
    together = torch.cat([queries, keys + widths[0], keys + sum(widths)])
    into_attention = {widths[0]: queries, widths[1]: keys}
    found = {part: (hidden, into_attention.get(out_features(part), together)) for part in layer.projections}
    for part in layer.feeding:
        blocks = out_features(part) // shape.feed_forward  # 2 where a gate is in the same matrix
        found[part] = (hidden, torch.cat([neurons + block * shape.feed_forward for block in range(blocks)]))
    return found | {layer.attention: (queries, hidden), layer.feed_forward: (neurons, hidden)}


def _of_matrix(module: nn.Module, tensor: Tensor, inputs: Tensor, outputs: Tensor) -> Axes:
    if tensor.dim() == 1:
        return [(0, outputs)]
    stored = torch.empty(1, 2, device="meta")
    transposed = as_rows_of_outputs(module, stored).shape != stored.shape
    return [(0, inputs), (1, outputs)] if transposed else [(0, outputs), (1, inputs)]


def _of_other(tensor: Tensor, wanted: Tensor, lengths: list[tuple[int, int, Tensor]]) -> Axes:
    if tensor.dim() != wanted.dim():
        return []
    found: Axes = []
    for axis, ends in enumerate(zip(tensor.shape, wanted.shape, strict=True)):
        found += next(([(axis, places)] for before, after, places in lengths if ends == (before, after)), [])
    return found


def _spread(groups: Tensor, size: int) -> Tensor:
    """Return the places of all numbers in blocks of `size`."""
    return (groups[:, None] * size + torch.arange(size)).flatten()
