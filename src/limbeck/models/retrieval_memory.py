"""A memory of a classifier: embeddings of training rows with a teacher's answers, looked up for each text.

It is kept in a folder of its own inside the model's, which other libraries do not look into: to them the model is the
classifier alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError
from torch import Tensor

from limbeck.errors import ModelError
from limbeck.models.checked_folder import reading
from limbeck.models.json_file import faults_in, read_json
from limbeck.models.layers import depth, width
from limbeck.models.taps import run_model
from limbeck.numerics.retrieval import retrieved
from limbeck.types import Tap

__all__ = ["Memory", "Retrieval", "answers", "read_memory", "remembers", "write_memory"]

_FOLDER, _ENTRIES, _SETTINGS = "memory", "entries.safetensors", "settings.json"
_ADVICE = "Copy the folder again"


class Retrieval(BaseModel):
    """How answers are looked up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    neighbours: PositiveInt = 16
    """k, the entries that are looked up."""
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    """Of their weights, ``softmax(s z / temperature)``."""
    own_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the classifier's own probabilities in the answer; the rest is the entries'."""


@dataclass(frozen=True)
class Memory:
    """Entries, and how they are looked up."""

    keys_ND: Tensor
    """Embeddings, divided by their length."""
    probs_NC: Tensor
    """The teacher's probabilities."""
    settings: Retrieval

    @classmethod
    def of(cls, entries_NX: NDArray[np.float32], classes: int, settings: Retrieval) -> Memory:
        """Return a memory of probabilities and keys that are side by side in one array."""
        entries = torch.from_numpy(np.array(entries_NX, dtype=np.float32))
        return cls(entries[:, classes:].contiguous(), entries[:, :classes].contiguous(), settings)

    def probs(self, logits_BC: Tensor, states_BD: Tensor) -> Tensor:
        """Return ``b q + (1 - b) sum_k w_k y_k``, q the classifier's own probabilities.

        Args:
            logits_BC: the classifier's.
            states_BD: its last layer's states of each text's first token.
        """
        at, own = self.settings, logits_BC.float().softmax(dim=-1)
        if at.own_share == 1:
            return own
        keys_ND, probs_NC = self.keys_ND.to(own.device), self.probs_NC.to(own.device)
        found_BC, _, _ = retrieved(
            states_BD.float(), keys_ND, probs_NC, neighbours=at.neighbours, temperature=at.temperature
        )
        return at.own_share * own + (1 - at.own_share) * found_BC


def answers(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """Return a classifier's logits ``[B, C]``; with a memory, the logarithms of its mixed probabilities."""
    memory: Memory | None = getattr(model, "retrieval_memory", None)
    if memory is None:
        return run_model(model, inputs)["logits"]
    first = Tap("first", depth(model))
    signal = run_model(model, inputs, frozenset([first]))
    smallest = torch.finfo(torch.float32).tiny
    return memory.probs(signal["logits"], signal["states"][first]).clamp(min=smallest).log()


def remembers(folder: Path) -> bool:
    """Whether a model's folder has a memory."""
    return (folder / _FOLDER).is_dir()


def write_memory(memory: Memory, folder: Path) -> None:
    """Write a memory into a model's folder."""
    from safetensors.torch import save_file

    (folder / _FOLDER).mkdir()
    entries = {"keys": memory.keys_ND.contiguous(), "probs": memory.probs_NC.contiguous()}
    save_file(entries, folder / _FOLDER / _ENTRIES, metadata={"format": "pt"})
    (folder / _FOLDER / _SETTINGS).write_text(memory.settings.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_memory(folder: Path, model: Any) -> Memory | None:
    """Return the memory in a model's folder; ``None`` if it has none.

    Raises:
        ModelError: it is damaged, or of another model.
    """
    from safetensors.torch import load_file

    if not remembers(folder):
        return None
    path = folder / _FOLDER / _SETTINGS
    try:
        settings = Retrieval.model_validate(read_json(path, _ADVICE))
    except ValidationError as error:
        raise ModelError(f"{path} is damaged: {faults_in(error)}. {_ADVICE}") from error
    with reading("load the memory of", folder):
        entries = load_file(folder / _FOLDER / _ENTRIES)
    keys_ND, probs_NC = entries.get("keys"), entries.get("probs")
    if keys_ND is None or probs_NC is None or not (keys_ND.dim() == probs_NC.dim() == 2 and len(keys_ND)):
        raise ModelError(
            f"{folder / _FOLDER / _ENTRIES} is damaged: it does not hold keys and probabilities. {_ADVICE}"
        )
    fits = (len(probs_NC), keys_ND.shape[1], probs_NC.shape[1]) == (
        len(keys_ND),
        width(model),
        model.config.num_labels,
    )
    if not fits or not (torch.isfinite(keys_ND).all() and torch.isfinite(probs_NC).all()):
        raise ModelError(f"{folder / _FOLDER / _ENTRIES} does not belong to this model, or is damaged. {_ADVICE}")
    return Memory(keys_ND.float(), probs_NC.float(), settings)
