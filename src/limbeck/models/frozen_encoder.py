"""A pretrained encoder as it is: one vector for each text, for classifiers that train nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from limbeck.errors import ModelError
from limbeck.models.checked_folder import model_folder
from limbeck.models.layers import accepted_inputs
from limbeck.models.load import load_config, load_encoder
from limbeck.models.pooling import StatePooling, pooled, trained_pooling

__all__ = ["FrozenEncoder", "frozen_pooling", "load_frozen_encoder"]


@dataclass(frozen=True)
class FrozenEncoder:
    """An encoder, and how its states become one vector."""

    model: Any
    pooling: StatePooling

    @torch.no_grad()
    def vectors(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the vectors ``[B, D]`` of a batch of encoded texts, on the encoder's device."""
        device = next(self.model.parameters()).device
        known = accepted_inputs(type(self.model).forward)
        given = {name: tensor.to(device) for name, tensor in inputs.items() if name in known}
        return pooled(self.model(**given).last_hidden_state, inputs["attention_mask"].to(device), self.pooling)


def frozen_pooling(name: str, *, trust_remote_code: bool = False) -> StatePooling:
    """Return how the states of an encoder become one vector, from its files: as it was trained, else their mean.

    Args:
        name: a folder in Hugging Face format, or a hub name.
        trust_remote_code: run Python code that comes with the model.

    Raises:
        ModelError: it is no encoder: a language model that was never trained to represent a text, or code that comes
            without a class for one.
    """
    config = load_config(name, trust_remote_code=trust_remote_code)
    trained = trained_pooling(model_folder(name, trust_remote_code=trust_remote_code))
    if trained is None and _only_continues(config.model_type):
        raise ModelError(f"{name} is a causal language model, which was not trained to represent a text by a vector")
    classes = getattr(config, "auto_map", None) or {"AutoModel": ""}
    if "AutoModel" not in classes:
        raise ModelError(f"the code that comes with {name} has no class for the encoder alone")
    return trained or "mean"


def load_frozen_encoder(name: str, *, trust_remote_code: bool = False) -> FrozenEncoder:
    """Load an encoder in evaluation mode: of a model with an encoder and a decoder, the encoder alone.

    Raises:
        ModelError: as `frozen_pooling` and `load_encoder`.
    """
    pooling = frozen_pooling(name, trust_remote_code=trust_remote_code)
    model = load_encoder(name, trust_remote_code=trust_remote_code)
    return FrozenEncoder((model.get_encoder() if model.config.is_encoder_decoder else model).eval(), pooling)


def _only_continues(model_type: str) -> bool:
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    encoders = {*MODEL_FOR_MASKED_LM_MAPPING_NAMES, *MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES}
    return model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and model_type not in encoders
