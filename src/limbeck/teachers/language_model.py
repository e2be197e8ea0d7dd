"""A local generative teacher."""

from __future__ import annotations

from typing import Any

import torch

from limbeck.models.language_model import head_of, token_logits
from limbeck.models.taps import capture
from limbeck.numerics.masking import predicted_positions
from limbeck.types import Batch, DenseLogits, LazyLogits, LogitSource, Needs, Signal

__all__ = ["LanguageTeacher", "TeacherStates"]


class LanguageTeacher:
    """A teacher that runs a language model on each batch: evaluation mode, no gradients, frozen parameters.

    It reads the same token ids as the student, and returns only its hidden states at the positions that terms compare,
    with the head that turns them into logits, and the states at the taps that terms ask for.

    Args:
        model: a causal, sequence-to-sequence or masked language model.
        vocabulary: number of tokens that both models know; further rows of its head are padding.
    """

    def __init__(self, model: Any, vocabulary: int | None = None) -> None:
        self.model = model.eval().requires_grad_(False)
        self._vocabulary = vocabulary
        self._head = head_of(model)

    @torch.no_grad()
    def signal(self, batch: Batch, needs: Needs) -> Signal:
        """Return distributions over tokens at the positions to compare and states at taps, as `needs` requires."""
        if not needs.teacher:
            return {}
        here, there = self.model.device, batch["labels_BT"].device
        inputs = {name: tensor.to(here) for name, tensor in batch["student"].items()}
        places_BT = predicted_positions(batch, needs).to(here)
        self.model.eval()  # the model may have been trained in the meantime
        with capture(self.model, needs.teacher_taps, inputs.get("attention_mask")) as states:
            source = token_logits(self.model, inputs, places_BT, self._head, self._vocabulary)
        signal: Signal = {}
        if needs.logits:
            signal["tokens"] = source if here == there else _moved(source, there)
        if states:
            signal["states"] = {tap: state.to(there) for tap, state in states.items()}
        return signal


class TeacherStates:
    """A teacher that gives only the states at taps of a language model that reads the student's tokens.

    Args:
        model: a causal model. It runs without its head, in evaluation mode, without gradients.
    """

    def __init__(self, model: Any) -> None:
        self.model = model.base_model.eval().requires_grad_(False)

    @torch.no_grad()
    def signal(self, batch: Batch, needs: Needs) -> Signal:
        """Return the states at the taps in `needs`, for the student's text."""
        here, there = next(self.model.parameters()).device, batch["rows_B"].device
        inputs = {name: batch["student"][name].to(here) for name in ("input_ids", "attention_mask")}
        with capture(self.model, needs.teacher_taps, inputs["attention_mask"]) as states:
            self.model(**inputs, use_cache=False)
        return {"states": {tap: state.to(there) for tap, state in states.items()}}


def _moved(source: LogitSource, device: torch.device) -> LogitSource:
    if isinstance(source, DenseLogits):
        return DenseLogits(source.logits_SV.to(device))
    assert isinstance(source, LazyLogits)
    bias_V = None if source.bias_V is None else source.bias_V.to(device)
    return LazyLogits(source.hidden_SD.to(device), source.weight_VD.to(device), bias_V, source.softcap, source.scale)
