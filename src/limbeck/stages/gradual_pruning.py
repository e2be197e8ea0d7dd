"""Pruning while a stage trains: masks that close step by step, until the student has its shape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from limbeck.students.pruning.axes import unit_axes
from limbeck.students.pruning.cut import cut_model, masks_of
from limbeck.students.pruning.importance import Importance, Kept
from limbeck.students.pruning.masked_units import Masks, masked
from limbeck.students.pruning.schedule import Pruning, shape_at
from limbeck.students.pruning.scores import column_scores
from limbeck.students.pruning.units import Shape, units_of

__all__ = ["GradualPruning"]

_GONE = -1.0
"""The score of removed units: below all others, so that they stay removed."""


class _State(nn.Module):
    """Scores and masks as buffers, so that they are in the checkpoints of the module that holds them."""

    def __init__(self, shape: Shape, layers: int) -> None:
        super().__init__()
        sizes = {"hidden_D": (shape.hidden,), "groups_LG": (layers, shape.groups)}
        for name, size in (sizes | {"neurons_LF": (layers, shape.feed_forward)}).items():
            self.register_buffer(f"score_{name}", torch.zeros(size))
            self.register_buffer(f"kept_{name}", torch.ones(size))

    def masks(self) -> Masks:
        return Masks(*(self.get_buffer(f"kept_{name}") for name in ("hidden_D", "groups_LG", "neurons_LF")))

    def scores(self) -> Importance:
        return Importance(*(self.get_buffer(f"score_{name}") for name in ("hidden_D", "groups_LG", "neurons_LF")))


class GradualPruning(TrainerCallback):  # type: ignore[misc]
    """A callback that removes units of a model while it trains, and their weights at the end.

    After each backward pass, every unit is scored by ``|sum W * dL/dW|`` over the column that its output enters, and
    the scores are averaged over steps. After each optimiser step, the units with the lowest scores are masked, as many
    as the schedule says: their weights become 0, and what the optimiser remembers of them is dropped. A unit that is
    removed stays removed. Norms of the masked model are over the units that are left (`limbeck.students.pruning`).

    Reference: Liang et al. 2023, "HomoDistil: Homotopic Task-Agnostic Distillation of Pre-trained Transformers",
    arXiv:2302.09632, section 3.

    Args:
        whole: the model that is pruned.
        student: a model of the shape that is left at the end.
        pruning: of the stage.
    """

    def __init__(self, whole: Any, student: Any, pruning: Pruning) -> None:
        self._whole, self._student, self._pruning = whole, student, pruning
        self._units, self._after = units_of(whole), units_of(student).shape
        self.state = _State(self._units.shape, len(self._units.layers)).to(next(whole.parameters()).device)
        """Part of the module that is trained, which is what checkpoints hold."""
        self._hooks = ExitStack()

    @contextmanager
    def masks_on(self) -> Iterator[None]:
        """Mask the model for the block, in which it trains."""
        try:
            self._renew_masks()
            yield
        finally:
            self._hooks.close()

    def cut(self) -> None:
        """Give the student the weights that are left."""
        left = cut_model(self._whole, self._after, self._kept())
        self._student.load_state_dict(left.state_dict())

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._renew_masks()  # a checkpoint may have brought others

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        smoothing, kept = self._pruning.smoothing, self.state.masks().all()
        new = column_scores(self._whole, self._units)
        for before, now, mask in zip(vars(self.state.scores()).values(), vars(new).values(), kept, strict=True):
            before.copy_(torch.where(mask > 0, smoothing * before + (1 - smoothing) * now, _GONE))

    def on_step_end(self, args: Any, state: Any, control: Any, optimizer: Any = None, **kwargs: Any) -> None:
        progress = state.global_step / state.max_steps
        shape = shape_at(progress, self._units.shape, self._after, self._pruning)
        self._mask(self.state.scores().keep(shape, shared_heads=self._units.shared_heads), optimizer)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if logs is not None and "loss" in logs:
            shares = (float(mask.mean()) for mask in self.state.masks().all())
            logs |= dict(zip(("kept/hidden", "kept/heads", "kept/feed_forward"), shares, strict=True))

    def _mask(self, kept: Kept, optimizer: Any) -> None:
        """Remove all other units, if any of them are there."""
        masks = self.state.masks()
        wanted = masks_of(self._units, kept, masks.hidden_D.device)
        if all(torch.equal(mask, new) for mask, new in zip(masks.all(), wanted.all(), strict=True)):
            return
        for mask, new in zip(masks.all(), wanted.all(), strict=True):
            mask.copy_(new)
        self._forget(kept, optimizer)
        self._renew_masks()

    @torch.no_grad()
    def _forget(self, kept: Kept, optimizer: Any) -> None:
        """Set weights of removed units to 0, and what the optimiser remembers of them."""
        remembered = getattr(optimizer, "state", {})
        parameters = dict(self._whole.named_parameters())
        for name, axes in unit_axes(self._whole, self._student, kept):
            if name not in parameters:
                continue  # a buffer, or the second name of a tied matrix
            weight = parameters[name]
            alike = [
                value for value in remembered.get(weight, {}).values() if getattr(value, "shape", ()) == weight.shape
            ]
            for axis, places in axes:
                gone = torch.ones(weight.shape[axis], dtype=torch.bool).index_fill(0, places, False).nonzero()[:, 0]
                for tensor in (weight, *alike):
                    tensor.index_fill_(axis, gone.to(tensor.device), 0)

    def _renew_masks(self) -> None:
        self._hooks.close()
        self._hooks = ExitStack()
        self._hooks.enter_context(masked(self._units, self.state.masks()))

    def _kept(self) -> Kept:
        """Return the units that are left."""

        def places(mask: Tensor) -> Tensor:
            return mask.cpu().nonzero()[:, 0]

        masks = self.state.masks()
        return Kept(places(masks.hidden_D), tuple(map(places, masks.groups_LG)), tuple(map(places, masks.neurons_LF)))
