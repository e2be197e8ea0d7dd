"""A model cut to a shape: an ordinary model of the same class and fewer units, with the weights of those kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.layers import accepted_inputs
from limbeck.models.trials import probe_ids, readable_tokens, undisturbed
from limbeck.students.pruning.importance import Kept
from limbeck.students.pruning.masked_units import Masks, masked
from limbeck.students.pruning.shape import configured
from limbeck.students.pruning.units import LayerUnits, Shape, Units, out_features, units_of

__all__ = ["cut_model", "embedding_scale", "require_same_outputs"]

_ROWS, _TOKENS, _PADDED = 2, 24, 7
_TOLERANCE, _TOLERANCE_OF_HALVES = 1e-3, 5e-2
"""Of the largest output. An error of layout is of the order of the outputs, and rounding is not."""


def cut_model(model: Any, shape: Shape, kept: Kept) -> Any:
    """Return a float32 model of the class of `model` with only the units in `kept`.

    Rows and columns are picked on both sides of every matrix, and of embeddings and norms; tied matrices are cut once.
    Embeddings that their model multiplies by the root of the width (Gemma's) are multiplied by what this root loses,
    and the last norm is divided by it where the same matrix gives the logits.

    Raises:
        ModelError: the class has no models of this shape.
    """
    units = units_of(model)
    student = _empty(model, shape)
    state = _cut_state(model, student, units, shape, kept)
    student.load_state_dict(state, strict=True)
    student = student.to(torch.float32)
    if student.device.type != "meta":
        _restore_scale(model, student)
    return student


def require_same_outputs(model: Any, student: Any, kept: Kept) -> None:
    """Check that a cut model gives what its original gives under masks.

    Both read two rows, one of them padded. This shows matrices of another layout than `units_of` expects.

    Raises:
        ModelError: the outputs differ.
    """
    units = units_of(model)
    ids = probe_ids(model, _ROWS, tokens := readable_tokens(model, _TOKENS))
    mask = torch.ones_like(ids)
    mask[1, max(1, tokens - _PADDED) :] = 0
    with undisturbed(model, student):
        with masked(units, _masks_of(units, kept, next(model.parameters()).device)):
            expected = _outputs(model, ids, mask)
        found = _outputs(student, ids, mask)
    exact = all(parameter.dtype == torch.float32 for parameter in model.parameters())
    difference, size = float((found - expected).abs().max()), float(expected.abs().max())
    if not difference <= (_TOLERANCE if exact else _TOLERANCE_OF_HALVES) * size:  # NaN differs
        raise ModelError(
            f"cannot prune {type(model).__name__}: without the units that are cut, its outputs differ by "
            f"{difference:.3g} from those of the cut model, of up to {size:.3g}. It uses its units in a way that is "
            "not known here. Use student.from_teacher (whole layers), or name a student (student.model)"
        )


def embedding_scale(model: Any) -> float:
    """Return the factor by which a model multiplies its word embeddings."""
    scale = getattr(model.get_input_embeddings(), "embed_scale", 1.0)
    return float(scale)


def _empty(model: Any, shape: Shape) -> Any:
    """Return a model of the same class and this shape with random weights."""
    try:
        return type(model)(configured(model, shape))
    except ModelError:
        raise
    except Exception as error:  # transformers rejects values with many kinds of error
        raise _no_such_model(model, shape, str(error)) from error


def _cut_state(model: Any, student: Any, units: Units, shape: Shape, kept: Kept) -> dict[str, Tensor]:
    """Return the student's state: each tensor of the model, cut along the axes of its role."""
    roles, others = _roles(units, kept), _Axes(units, shape, kept)
    owners = dict(model.named_modules())
    wanted = student.state_dict()
    found = {}
    for name, tensor in model.state_dict().items():
        if name not in wanted:
            raise _no_such_model(model, shape, f"{name} is not in it")
        owner = owners[name.rpartition(".")[0]]
        cut = roles.get(owner, others)
        found[name] = part = cut(tensor, wanted[name])
        if part.shape != wanted[name].shape:
            sizes = f"{name} would be {list(part.shape)}, and is {list(wanted[name].shape)}"
            raise _no_such_model(model, shape, sizes)
    if missing := sorted(wanted.keys() - found.keys()):
        raise _no_such_model(model, shape, f"it also has {missing[0]}")
    return found


def _no_such_model(model: Any, shape: Shape, why: str) -> ModelError:
    return ModelError(
        f"{type(model).__name__} has no models of {shape}: {why}. Choose other widths, or leave them as the teacher's"
    )


class _Axes:
    """Cuts a tensor outside the matrices of layers: along axes of the model's width that the student has narrower."""

    def __init__(self, units: Units, after: Shape, kept: Kept) -> None:
        self._picked = [(units.shape.hidden, after.hidden, kept.hidden)]
        if units.shared_heads and after.heads < units.shape.heads:
            self._picked.append((units.shape.heads, after.heads, kept.groups[0]))

    def __call__(self, tensor: Tensor, wanted: Tensor) -> Tensor:
        for axis in range(tensor.dim()):
            for before, after, picked in self._picked:
                if tensor.dim() == wanted.dim() and (tensor.shape[axis], wanted.shape[axis]) == (before, after):
                    tensor = _pick(tensor, axis, picked)
                    break
        return tensor


class _Matrix:
    """Cuts a matrix of a layer, and its bias, along inputs and outputs."""

    def __init__(self, module: nn.Module, inputs: Tensor, outputs: Tensor) -> None:
        self._transposed, self._inputs, self._outputs = type(module).__name__ == "Conv1D", inputs, outputs

    def __call__(self, tensor: Tensor, _wanted: Tensor) -> Tensor:
        if tensor.dim() == 1:
            return _pick(tensor, 0, self._outputs)
        rows, columns = (self._inputs, self._outputs) if self._transposed else (self._outputs, self._inputs)
        return _pick(_pick(tensor, 0, rows), 1, columns)


def _pick(tensor: Tensor, axis: int, places: Tensor) -> Tensor:
    return tensor.index_select(axis, places.to(tensor.device))


def _roles(units: Units, kept: Kept) -> dict[nn.Module, Callable[[Tensor, Tensor], Tensor]]:
    roles: dict[nn.Module, Callable[[Tensor, Tensor], Tensor]] = {}
    for layer, groups, neurons in zip(units.of_layers, kept.groups, kept.neurons, strict=True):
        roles |= _of_attention(units.shape, layer, kept.hidden, groups)
        for module in layer.feeding:
            blocks = out_features(module) // units.shape.feed_forward  # 2 where a gate is in the same matrix
            outputs = torch.cat([neurons + block * units.shape.feed_forward for block in range(blocks)])
            roles[module] = _Matrix(module, kept.hidden, outputs)
        roles[layer.feed_forward] = _Matrix(layer.feed_forward, neurons, kept.hidden)
    return roles


def _of_attention(
    shape: Shape, layer: LayerUnits, hidden: Tensor, groups: Tensor
) -> dict[nn.Module, Callable[[Tensor, Tensor], Tensor]]:
    keys = _spread(groups, shape.head_width)
    queries = _spread(groups, shape.head_width * (shape.heads // shape.groups))
    widths = (shape.heads * shape.head_width, shape.groups * shape.head_width)
    together = torch.cat([queries, keys + widths[0], keys + sum(widths)])
    roles: dict[nn.Module, Callable[[Tensor, Tensor], Tensor]] = {}
    for module in layer.projections:
        outputs = {widths[0]: queries, widths[1]: keys}.get(out_features(module), together)
        roles[module] = _Matrix(module, hidden, outputs)
    roles[layer.attention] = _Matrix(layer.attention, queries, hidden)
    return roles


def _spread(groups: Tensor, size: int) -> Tensor:
    """Return the places of all numbers in blocks of `size`."""
    return (groups[:, None] * size + torch.arange(size)).flatten()


def _masks_of(units: Units, kept: Kept, device: torch.device) -> Masks:
    """Return masks of ones and zeros."""

    def one(size: int, places: Tensor) -> Tensor:
        return torch.zeros(size).index_fill(0, places, 1.0).to(device)

    return Masks(
        one(units.shape.hidden, kept.hidden),
        torch.stack([one(units.shape.groups, places) for places in kept.groups]),
        torch.stack([one(units.shape.feed_forward, places) for places in kept.neurons]),
    )


def _outputs(model: Any, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Return the logits of real tokens, or of rows."""
    device, names = next(model.parameters()).device, accepted_inputs(type(model).forward)
    inputs = {"input_ids": ids_BT.to(device), "attention_mask": mask_BT.to(device), "use_cache": False}
    logits: Tensor = model(**{name: value for name, value in inputs.items() if name in names}).logits
    logits = logits.float().cpu()
    return logits[mask_BT.bool()] if logits.shape[:2] == mask_BT.shape and logits.dim() > 2 else logits


def _restore_scale(model: Any, student: Any) -> None:
    """Undo that embeddings are multiplied by another factor in a narrower model."""
    factor = embedding_scale(model) / embedding_scale(student)
    if factor == 1.0:
        return
    embeddings, head = student.get_input_embeddings(), student.get_output_embeddings()
    with torch.no_grad():
        embeddings.weight *= factor
        if head is not None and head.weight is embeddings.weight:
            _scale_norm(units_of(student).norms[-1], 1 / factor)


def _scale_norm(norm: nn.Module, factor: float) -> None:
    """Multiply the output of a norm, whose weight may count from 0 or from 1."""
    weight = norm.weight
    assert isinstance(weight, Tensor)
    one = torch.ones(1, weight.shape[0], device=weight.device)
    before = weight.clone()
    weight.zero_()
    from_one = bool(norm(one).abs().max() > 0)  # Gemma's: a weight of 0 leaves the norm as it is
    weight.copy_((before + 1) * factor - 1 if from_one else before * factor)
