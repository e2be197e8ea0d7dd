"""Checking, by trying, that a model keeps the sequences of a packed row apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from limbeck.data.generation.collate import TokenSequence, collate
from limbeck.errors import ConfigError
from limbeck.models.language_model import is_encoder_decoder
from limbeck.models.layers import accepted_inputs

__all__ = ["check_packing"]

_LENGTHS = (5, 3, 7, 1, 6)
_WIDTH = 12


def check_packing(model: Any) -> None:
    """Refuse models (and attention implementations) that mix up the sequences of a packed row.

    Random sequences are read packed, in two rows, and one by one; logits must agree. Two rows, since flash attention
    tells sequences apart by position ids only in a single row, and silently mixes them in several
    (transformers 5.23, ``_is_packed_sequence``). Models without such masks, like linear attention and ALiBi, fail too.

    Args:
        model: a language model; its mode is restored.

    Raises:
        ConfigError: it has an encoder, or logits differ.
    """
    if is_encoder_decoder(model):
        raise ConfigError(
            f"{_name(model)} has an encoder, which would read several prompts as one: packing needs a causal model. "
            "Turn it off (training.packing)"
        )
    rows = np.random.default_rng(0).integers(0, model.get_input_embeddings().num_embeddings, sum(_LENGTHS))
    ids = np.split(rows.astype(np.int32), np.cumsum(_LENGTHS)[:-1])
    sequences = [TokenSequence(row, np.ones(len(row), dtype=np.bool_), 0, False) for row in ids]
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            packed_BTV = _logits(model, collate(sequences, 0, pack_to=_WIDTH)["student"])
            single_NV = torch.cat([_logits(model, collate([one], 0)["student"])[0] for one in sequences])
    finally:
        model.train(training)
    in_first = sum(_LENGTHS[:2])
    packed_NV = torch.cat(
        [packed_BTV[0, :in_first], packed_BTV[1, : sum(_LENGTHS[2:4])], packed_BTV[2, : _LENGTHS[4]]]
    )
    exact = packed_NV.dtype in (torch.float32, torch.float64)
    difference = float((packed_NV - single_NV).abs().max())
    if not difference <= (1e-4 if exact else 0.1) * float(single_NV.std()):
        raise ConfigError(
            f"{_name(model)} with attention '{model.config._attn_implementation}' mixes up packed sequences: logits "
            f"differ by {difference:.2g} from those of each sequence alone. Turn packing off (training.packing), or "
            "load the model with attn_implementation sdpa or eager"
        )


def _logits(model: Any, inputs: dict[str, Any]) -> Any:
    device = model.get_input_embeddings().weight.device
    accepted = accepted_inputs(type(model).forward)
    known = {name: tensor.to(device) for name, tensor in inputs.items() if name in accepted}
    # A key-value cache, even an empty one, turns the detection off (``_preprocess_mask_arguments``).
    return model(**known, **({"use_cache": False} if "use_cache" in accepted else {})).logits


def _name(model: Any) -> str:
    return type(model).__name__
