"""A local teacher."""

from __future__ import annotations

from typing import Any

import torch

from limbeck.models.probes import run_probed
from limbeck.types import Batch, Needs, Signal

__all__ = ["LocalTeacher"]


class LocalTeacher:
    """A teacher that runs on each batch: evaluation mode, no gradients, frozen parameters."""

    def __init__(self, model: Any) -> None:
        self.model = model.eval().requires_grad_(False)

    @torch.no_grad()
    def signal(self, batch: Batch, needs: Needs) -> Signal:
        """Return logits, states at taps and probes, if `needs` asks for them.

        The teacher reads its own encoding of the rows (``batch["teacher"]``) on its own device; the
        signal is returned on the batch's device.
        """
        here, there = next(self.model.parameters()).device, batch["rows_B"].device
        inputs = {name: tensor.to(here) for name, tensor in batch["teacher"].items()}
        self.model.eval()  # the model may have been trained in the meantime
        moved = batch if here == there else _beside(batch, here)
        output = run_probed(self.model, inputs, needs.teacher_taps, needs.teacher_probes, moved, trained=False)
        signal: Signal = {}
        if needs.logits:
            signal["logits"] = output["logits"].detach().to(there)
        if needs.teacher_taps:
            signal["states"] = {tap: state.detach().to(there) for tap, state in output["states"].items()}
        if needs.teacher_probes:
            signal["probes"] = {probe: found.detach().to(there) for probe, found in output["probes"].items()}
        return signal


def _beside(batch: Batch, device: torch.device) -> Batch:
    """Return what probes read of a batch, on a teacher's own device."""
    found: Batch = {}
    if "mixing" in batch:
        found["mixing"] = {name: tensor.to(device) for name, tensor in batch["mixing"].items()}
    if "targets_BC" in batch:
        found["targets_BC"] = batch["targets_BC"].to(device)
    return found
