"""A teacher whose weights are at hand."""

from __future__ import annotations

from typing import Any

import torch

from limbeck.models.layers import run_model
from limbeck.types import Batch, Needs, Signal

__all__ = ["LocalTeacher"]


class LocalTeacher:
    """Runs the teacher on each batch: evaluation mode, no gradients, frozen parameters."""

    def __init__(self, model: Any) -> None:
        self.model = model.eval().requires_grad_(False)

    @torch.no_grad()
    def signal(self, batch: Batch, needs: Needs) -> Signal:
        """Return logits and hidden states, as far as `needs` names them.

        The teacher reads its own encoding of the rows (``batch["teacher"]``).
        """
        layers = needs.teacher_hidden | needs.teacher_first
        # The trainer may have put the model on a device or in train mode along with the student.
        self.model.eval().to(batch["rows_B"].device)
        output = run_model(self.model, batch["teacher"], layers)
        signal: Signal = {}
        if needs.logits:
            signal["logits_BC"] = output["logits_BC"]
        if needs.teacher_hidden:
            signal["hidden_BTD"] = {layer: output["hidden_BTD"][layer] for layer in needs.teacher_hidden}
        if needs.teacher_first:
            # Cloned, so that the rest of the layer's output can be freed.
            signal["first_BD"] = {layer: output["hidden_BTD"][layer][:, 0].clone() for layer in needs.teacher_first}
        return signal
