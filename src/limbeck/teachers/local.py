"""A local teacher."""

from __future__ import annotations

from typing import Any

import torch

from limbeck.models.taps import run_model
from limbeck.types import Batch, Needs, Signal

__all__ = ["LocalTeacher"]


class LocalTeacher:
    """A teacher that runs on each batch: evaluation mode, no gradients, frozen parameters."""

    def __init__(self, model: Any) -> None:
        self.model = model.eval().requires_grad_(False)

    @torch.no_grad()
    def signal(self, batch: Batch, needs: Needs) -> Signal:
        """Return logits and states at taps, if `needs` asks for them.

        The teacher reads its own encoding of the rows (``batch["teacher"]``) on its own device; the
        signal is returned on the batch's device.
        """
        here, there = next(self.model.parameters()).device, batch["rows_B"].device
        inputs = {name: tensor.to(here) for name, tensor in batch["teacher"].items()}
        self.model.eval()  # the model may have been trained in the meantime
        output = run_model(self.model, inputs, needs.teacher_taps)
        signal: Signal = {}
        if needs.logits:
            signal["logits"] = output["logits"].to(there)
        if needs.teacher_taps:
            signal["states"] = {tap: state.to(there) for tap, state in output["states"].items()}
        return signal
