"""Generative language models: their logits as a lazy source, and their heads.

A head turns hidden states ``[S, D]`` into logits ``[S, V]``, the largest tensor of a training step by far. Here
the model runs without its head, and only the hidden states of the supervised positions go, with the head's
weights, to the chunked losses of `limbeck.numerics.chunked`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.models.layers import accepted_inputs
from limbeck.types import DenseLogits, LazyLogits, LogitSource

__all__ = ["Head", "decoder_start_token", "head_of", "is_encoder_decoder", "token_logits"]

_PROBE_TOKENS = 5
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Head:
    """A model's computation from the inputs of its output embeddings to its logits."""

    lazy: bool
    """Whether a `LazyLogits` describes it; otherwise the model's own logits are used."""
    softcap: float | None = None
    scale: float = 1.0


def is_encoder_decoder(model: Any) -> bool:
    """Return whether the model has an encoder and a decoder."""
    return bool(model.config.is_encoder_decoder)


def decoder_start_token(model: Any) -> int | None:
    """Return the first token of a decoder, from the configuration or generation settings."""
    for settings in (model.config, model.generation_config):
        start = getattr(settings, "decoder_start_token_id", None)
        if start is not None:
            return int(start)
    return None


@torch.no_grad()
def head_of(model: Any) -> Head:
    """Derive a model's head from its configuration, and check it against the model's own logits on a few tokens.

    A model with different logits has a head of some other kind; `token_logits` then lets it compute them itself,
    which costs the memory that a lazy source saves.
    """
    config = model.config.get_text_config()
    softcap = getattr(config, "final_logit_softcapping", None)
    multiplied = float(getattr(config, "logit_scale", None) or 1.0)
    divided = float(getattr(config, "logits_scaling", None) or 1.0)
    head = Head(True, float(softcap) if softcap else None, multiplied / divided)
    if model.get_output_embeddings() is None:
        return Head(False)
    ids_BT = torch.arange(1, 1 + _PROBE_TOKENS, device=model.device)[None] % config.vocab_size
    inputs = {"input_ids": ids_BT, "attention_mask": torch.ones_like(ids_BT)}
    if is_encoder_decoder(model):
        inputs["decoder_input_ids"] = ids_BT
    was_training = model.training
    model.eval()
    everywhere_BT = torch.ones_like(ids_BT, dtype=torch.bool)
    own_SV = model(**inputs).logits.flatten(0, 1).float()
    source = token_logits(model, inputs, everywhere_BT, head)
    model.train(was_training)
    assert isinstance(source, LazyLogits)
    z_SV = nn.functional.linear(source.hidden_SD, source.weight_VD, source.bias_V).float()
    if head.softcap:
        z_SV = head.softcap * torch.tanh(z_SV / head.softcap)
    z_SV = head.scale * z_SV
    close = z_SV.shape == own_SV.shape and torch.allclose(
        z_SV, own_SV, rtol=_TOLERANCE, atol=_TOLERANCE * float(own_SV.abs().max())
    )
    return head if close else Head(False)


def token_logits(
    model: Any,
    inputs: Mapping[str, Tensor],
    supervised_BT: Tensor,
    head: Head,
    vocabulary: int | None = None,
) -> LogitSource:
    """Run a model once and return its next-token distributions at the supervised positions.

    Args:
        model: a causal, sequence-to-sequence or masked language model.
        inputs: token ids and masks, each `[B, T]`.
        supervised_BT: bool; the positions wanted, in the decoder if there is one. S is their number.
        head: of this model, from `head_of`.
        vocabulary: V, if fewer than the model's rows of logits are tokens.

    Returns:
        S distributions, row by row of the batch.
    """
    known = {name: value for name, value in inputs.items() if name in accepted_inputs(type(model).forward)}
    options = {"use_cache": False} if "use_cache" in accepted_inputs(type(model).forward) else {}
    if not head.lazy:
        logits_BTV: Tensor = model(**known, **options).logits
        return DenseLogits(logits_BTV[supervised_BT][:, :vocabulary])
    with _headless(model) as seen:
        model(**known, **options)
    (hidden_BTD,) = seen
    weight_VD, bias_V = _head_weights(model)
    if vocabulary is not None and vocabulary < len(weight_VD):
        weight_VD, bias_V = weight_VD[:vocabulary], None if bias_V is None else bias_V[:vocabulary]
    return LazyLogits(hidden_BTD[supervised_BT], weight_VD, bias_V, head.softcap, head.scale)


def _joined_head(model: Any) -> Any:
    """Return MobileBERT's head, which never calls its output embeddings; ``None`` for all other models."""
    found = getattr(getattr(model, "cls", None), "predictions", None)
    return found if type(found).__name__ == "MobileBertLMPredictionHead" else None


def _head_weights(model: Any) -> tuple[Tensor, Tensor | None]:
    """Return weight ``[V, D]`` and bias of the output embeddings; MobileBERT's are narrow, and it adds columns."""
    output: Any = model.get_output_embeddings()
    weight_VD = output.weight
    if (joined := _joined_head(model)) is not None:
        weight_VD = torch.cat([weight_VD, joined.dense.weight.T], dim=1)
    return weight_VD, getattr(output, "bias", None)


@contextmanager
def _headless(model: Any) -> Iterator[list[Tensor]]:
    """Collect the inputs of the output embeddings, which return one number per position instead of logits.

    This includes anything a model does before its head (T5 scales the decoder's states), unlike
    ``last_hidden_state``.
    """
    seen: list[Tensor] = []
    joined = _joined_head(model)
    output: Any = model.get_output_embeddings() if joined is None else joined

    def keep(hidden: Tensor, *_: Any, **__: Any) -> Tensor:
        seen.append(hidden if joined is None else joined.transform(hidden))
        return hidden[..., :1]

    output.forward = keep
    try:
        yield seen
    finally:
        del output.forward
