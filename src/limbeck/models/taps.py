"""Taps: tensors at named sites inside a Hugging Face model while it runs.

``output_hidden_states=True`` keeps every layer alive, and ``output_attentions=True`` rules out fast attention. Hooks
on the layers that terms ask for keep nothing else. Fast kernels never hold the scores of attention, so these are
computed from the queries and keys that the model hands to its kernel, for the layers asked for, with gradients.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.adapter_layers import prompt_vectors
from limbeck.models.layers import accepted_inputs, layer_list
from limbeck.numerics.masking import first_token
from limbeck.types import Signal, Tap

__all__ = ["capture", "run_model"]

_FEED_FORWARD = (
    "mlp",
    "ffn",
    "feed_forward",
    "output.dense",
    "fc2",
    "layer.2.DenseReluDense",
    "layer.1.DenseReluDense",
)
"""Paths of a layer's feed-forward block: Llama, DistilBERT, BERT, BART, T5's decoder and encoder."""
_KERNELS = ("eager", "sdpa")
"""Kernels that take masks of pairs of positions; others take lengths, windows or block masks."""
_CROSS_ATTENTION = ("cross", "encoder_attn", "EncDec")
"""Parts of names of cross-attention, which is not self-attention."""


@dataclass
class _Attention:
    """Inputs of one layer's self-attention, as keyword arguments of the library's attention functions."""

    module: nn.Module
    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    options: Mapping[str, Any]
    kernel: str

    def scores(self) -> Tensor:
        """Return scores ``[B, H, T, T]``, ``-inf`` where attention is masked.

        Raises:
            ModelError: the model runs with a kernel whose masks cannot be read.
        """
        if self.kernel not in _KERNELS:
            raise ModelError(
                f"{type(self.module).__name__} runs with attention '{self.kernel}', whose masks cannot be read: load "
                "the model with attn_implementation sdpa or eager, or use a recipe on hidden states"
            )
        scale, width = self.options.get("scaling"), self.query.shape[-1]
        key = self.key.repeat_interleave(self.query.shape[1] // self.key.shape[1], dim=1)
        scores: Tensor = self.query @ key.transpose(-1, -2) * (width**-0.5 if scale is None else scale)
        if (softcap := self.options.get("softcap")) is not None:
            scores = softcap * torch.tanh(scores / softcap)
        if (bias := self.options.get("position_bias")) is not None:
            scores = scores + bias
        mask = self._causal() if self.mask is None else self.mask
        if mask is None:
            return scores
        if mask.dtype != torch.bool:
            scores, mask = scores + mask, mask > torch.finfo(mask.dtype).min / 2
        return scores.masked_fill(~mask, -torch.inf)

    def _causal(self) -> Tensor | None:
        """Return the causal mask that a kernel builds itself and is not given."""
        causal = self.options.get("is_causal")
        if not (getattr(self.module, "is_causal", True) if causal is None else causal):
            return None
        square = (self.query.shape[-2], self.key.shape[-2])
        return torch.ones(square, dtype=torch.bool, device=self.query.device).tril()


@dataclass
class _Seen:
    """Tensors that hooks kept from one forward pass."""

    hidden: dict[Tap, Tensor] = field(default_factory=dict)
    attention: dict[tuple[Any, int], _Attention] = field(default_factory=dict)


@contextmanager
def capture(
    model: nn.Module, taps: frozenset[Tap], attention_mask_BT: Tensor | None = None
) -> Iterator[dict[Tap, Tensor]]:
    """Collect the tensors at `taps` during the block's forward pass; they are available once the block has ended.

    Positions are those of the text: soft vectors are left out. For shapes see `Tap`.

    Args:
        model: an encoder, a decoder, or both; with both, a tap names its half.
        taps: the sites.
        attention_mask_BT: mask of the text, for taps of the first token; ``None``: no row is padded on the left.

    Raises:
        ModelError: the model has no such layer or no such site.
    """
    found: dict[Tap, Tensor] = {}
    seen = _Seen()
    with ExitStack() as hooks:
        attending: dict[nn.Module, tuple[Any, int]] = {}
        for tap in taps:
            handle = _watch(model, tap, seen, attending)
            if handle is not None:
                hooks.callback(handle.remove)
        if attending:
            hooks.enter_context(_attention_calls(attending, seen.attention))
        yield found
    for tap in taps:
        found[tap] = _at(model, tap, seen, attention_mask_BT)


def run_model(model: nn.Module, inputs: Mapping[str, Tensor], taps: frozenset[Tap] = frozenset()) -> Signal:
    """Run a classifier or scorer once and return its logits ``[B, ...]`` and the tensors at `taps`.

    Each model gets only the inputs that its own `forward` takes: a DistilBERT student reads no token
    types while its BERT teacher does. A scorer also takes groups of them (`Scorer.input_groups`).
    """
    names, groups = accepted_inputs(type(model).forward), getattr(model, "input_groups", ())
    known = {name: value for name, value in inputs.items() if name in names or name.startswith(groups)}
    with capture(model, taps, inputs.get("attention_mask")) as states:
        output = model(**known)
    signal: Signal = {"logits": output.logits}
    if getattr(output, "value", None) is not None:
        signal["value_B"] = output.value
    if states:
        signal["states"] = states
    return signal


def _watch(model: nn.Module, tap: Tap, seen: _Seen, attending: dict[nn.Module, tuple[Any, int]]) -> Any:
    """Hook the site of a tap; return the handle, or ``None`` if its layer's attention is already watched."""
    layers = layer_list(model, tap.half)[1]
    if tap.layer > len(layers):
        raise ModelError(f"{type(model).__name__} has {len(layers)} layers, but a term asks for layer {tap.layer}")
    layer = layers[max(tap.layer, 1) - 1]

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        seen.hidden[tap] = output[0] if isinstance(output, tuple) else output

    if tap.site in ("hidden", "first"):
        return layer.register_forward_hook(keep)
    if tap.site == "embedding":
        return layer.register_forward_pre_hook(partial(_keep_input, seen, tap), with_kwargs=True)
    if tap.site == "ffn":
        return _feed_forward(model, layer).register_forward_hook(keep)
    attending |= {
        module: (tap.half, tap.layer)
        for name, module in layer.named_modules()
        if not any(part in name for part in _CROSS_ATTENTION)
    }
    return None


def _keep_input(seen: _Seen, tap: Tap, _module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
    seen.hidden[tap] = args[0] if args else named["hidden_states"]


def _feed_forward(model: nn.Module, layer: nn.Module) -> nn.Module:
    known: dict[str, nn.Module] = dict(layer.named_modules())
    for name in _FEED_FORWARD:
        if name in known and not isinstance(known[name], nn.ModuleList):  # MobileBERT has a list before its last one
            return known[name]
    raise ModelError(
        f"cannot find the feed-forward block in the layers of {type(model).__name__} ({type(layer).__name__}). Use a "
        "recipe on hidden states"
    )


def _at(model: nn.Module, tap: Tap, seen: _Seen, attention_mask_BT: Tensor | None) -> Tensor:
    """Return the tensor at a tap, at the text's own positions."""
    before = prompt_vectors(model)
    of_prompts = getattr(model, "prompt_states", None)  # a label scorer's forward pass reads prompts with labels
    if tap in seen.hidden:
        state = seen.hidden[tap]
        state = state[:, before:] if before else state
        if of_prompts is not None:
            state = of_prompts(state, attention_mask_BT)
        if attention_mask_BT is not None and len(state) != len(attention_mask_BT):
            raise ModelError(
                f"the layers of {type(model).__name__} do not put the batch first; use a recipe on logits"
            )
        if tap.site != "first":
            return state
        padding = None if tap.half == "decoder" else attention_mask_BT
        return first_token(state, state.new_ones(state.shape[:2]) if padding is None else padding)
    attention = seen.attention.get((tap.half, tap.layer))
    if attention is None or (of_prompts is not None and tap.site == "attention"):
        raise ModelError(
            f"cannot read the attention of layer {tap.layer} of {type(model).__name__}: it is computed in a "
            "non-standard way. Use another model, or a recipe on hidden states"
        )
    tokens = attention.query.shape[-2] - before
    if tap.site == "attention":
        return attention.scores()[:, :, -tokens:, -tokens:]
    vectors: Tensor = getattr(attention, tap.site)[:, :, -tokens:]
    if of_prompts is None:
        return vectors
    heads = vectors.shape[1]
    of_text: Tensor = of_prompts(vectors.transpose(1, 2).flatten(2), attention_mask_BT)
    return of_text.reshape(*of_text.shape[:2], heads, -1).transpose(1, 2)


@contextmanager
def _attention_calls(
    layers: Mapping[nn.Module, tuple[Any, int]], found: dict[tuple[Any, int], _Attention]
) -> Iterator[None]:
    """Keep the inputs that the attention modules in `layers` pass to their kernels, whichever these are.

    The library looks up the kernel in each call (`AttentionInterface.get_interface`), the one place that all of its
    models pass through with the final queries and keys. Of the common models, only MPNet does not.
    """
    from transformers import AttentionInterface

    look_up: Callable[..., Any] = AttentionInterface.get_interface

    def watched(interface: Any, implementation: str, default: Any) -> Callable[..., Any]:
        attend = look_up(interface, implementation, default)

        def noted(
            module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any = None, **options: Any
        ) -> Any:
            if module in layers:
                found[layers[module]] = _Attention(module, query, key, value, attention_mask, options, implementation)
            return attend(module, query, key, value, attention_mask, **options)

        return noted

    with ExitStack() as hooks:
        for module, layer in layers.items():
            if type(module).__name__ == "MPNetSelfAttention":
                hooks.callback(module.register_forward_hook(partial(_mpnet, found, layer), with_kwargs=True).remove)
        AttentionInterface.get_interface = watched
        try:
            yield
        finally:
            AttentionInterface.get_interface = look_up


def _mpnet(
    found: dict[tuple[Any, int], _Attention], layer: tuple[Any, int],
    module: Any, args: tuple[Any, ...], named: dict[str, Any], _output: Any,
) -> None:  # fmt: skip
    """Recompute MPNet's queries, keys and values from the inputs of its attention."""
    given = inspect.signature(module.forward).bind(*args, **named).arguments
    hidden = given["hidden_states"]
    query, key, value = (
        part(hidden).unflatten(-1, (module.num_attention_heads, -1)).transpose(1, 2)
        for part in (module.q, module.k, module.v)
    )
    options = {"position_bias": given.get("position_bias"), "is_causal": False}
    found[layer] = _Attention(module, query, key, value, given.get("attention_mask"), options, "eager")
