"""A model cut to a shape: an ordinary model of the same class and fewer units, with the weights of those kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.layers import accepted_inputs
from limbeck.models.trials import probe_ids, readable_tokens, undisturbed
from limbeck.students.pruning.axes import unit_axes
from limbeck.students.pruning.importance import Kept
from limbeck.students.pruning.masked_units import Masks, masked
from limbeck.students.pruning.shape import configured
from limbeck.students.pruning.units import Shape, Units, units_of

__all__ = ["cut_model", "embedding_scale", "masks_of", "require_same_outputs"]

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
    student = _empty(model, shape)
    state = _cut_state(model, student, shape, kept)
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
        with masked(units, masks_of(units, kept, next(model.parameters()).device)):
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


def _cut_state(model: Any, student: Any, shape: Shape, kept: Kept) -> dict[str, Tensor]:
    """Return the student's state: each tensor of the model, cut along the axes of its role."""
    state, wanted, found = model.state_dict(), student.state_dict(), {}
    if unknown := [name for name in state if name not in wanted]:
        raise _no_such_model(model, shape, f"{unknown[0]} is not in it")
    for name, axes in unit_axes(model, student, kept):
        part = state[name]
        for axis, places in axes:
            part = part.index_select(axis, places.to(part.device))
        found[name] = part
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


def masks_of(units: Units, kept: Kept, device: torch.device) -> Masks:
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
