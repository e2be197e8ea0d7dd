"""A teacher whose weights are at hand."""

from __future__ import annotations

from typing import Any

import torch

from limbeck.models.layers import run_model
from limbeck.numerics.masking import first_token
from limbeck.types import Batch, Needs, Signal

__all__ = ["LocalTeacher"]


class LocalTeacher:
    """Runs the teacher on each batch: evaluation mode, no gradients, frozen parameters."""

    def __init__(self, model: Any) -> None:
        self.model = model.eval().requires_grad_(False)

    @torch.no_grad()
    def signal(self, batch: Batch, needs: Needs) -> Signal:
        """Return logits and hidden states, as far as `needs` names them.

        The teacher reads its own encoding of the rows (``batch["teacher"]``) on its own device; the
        signal comes back on the batch's.
        """
        layers = needs.teacher_hidden | needs.teacher_first
        here, there = next(self.model.parameters()).device, batch["rows_B"].device
        inputs = {name: tensor.to(here) for name, tensor in batch["teacher"].items()}
        self.model.eval()  # whoever holds the model may have trained it since
        output = run_model(self.model, inputs, layers)
        signal: Signal = {}
        if needs.logits:
            signal["logits_BC"] = output["logits_BC"].to(there)
        if needs.teacher_hidden:
            signal["hidden_BTD"] = {layer: output["hidden_BTD"][layer].to(there) for layer in needs.teacher_hidden}
        if needs.teacher_first:
            signal["first_BD"] = {
                layer: first_token(output["hidden_BTD"][layer], inputs["attention_mask"]).to(there)
                for layer in needs.teacher_first
            }
        return signal
