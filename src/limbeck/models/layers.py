"""Where the layers of a Hugging Face model are, and how to see what they put out.

``output_hidden_states=True`` keeps every layer alive; a forward hook on the layers that a term asks
for keeps just those.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.adapter_layers import prompt_vectors
from limbeck.types import Shapes, Signal

__all__ = [
    "accepted_inputs",
    "capture",
    "depth",
    "layer_list",
    "run_model",
    "set_dropout",
    "shapes",
    "text_config",
    "width",
    "word_embeddings",
]


def text_config(model: Any) -> Any:
    """Return the part of the model's configuration that is about text: of models of text alone it is all."""
    config = model.config
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def depth(model: Any) -> int:
    """Number of transformer layers."""
    return int(text_config(model).num_hidden_layers)


def width(model: Any) -> int:
    """Width of the hidden states."""
    return int(text_config(model).hidden_size)


def shapes(teacher: Any, student: Any) -> Shapes:
    """Depth and width of a pair of models."""
    return Shapes(depth(teacher), width(teacher), depth(student), width(student))


def layer_list(model: Any) -> tuple[str, nn.ModuleList]:
    """Return the name and the list of the transformer layers.

    Raises:
        ModelError: the model has no list of as many layers as its configuration says (for example
            ALBERT, whose layers share one set of weights).
    """
    if model.config.is_encoder_decoder:
        raise ModelError(
            f"{type(model).__name__} has an encoder and a decoder: layers are mapped of models that have one list of "
            "them. Use a recipe without hints of hidden states"
        )
    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth(model)
    ]
    others = [name for name, _ in lists[1:] if not name.startswith(f"{lists[0][0]}.")]
    if others:
        raise ModelError(
            f"{type(model).__name__} keeps the parts of its {depth(model)} layers in several lists "
            f"({', '.join([lists[0][0], *others][:4])}): no module is a layer. Use another model, or a recipe without "
            "layer terms and a student by name"
        )
    if lists:
        return lists[0]
    raise ModelError(
        f"cannot find the {depth(model)} layers of {type(model).__name__}: models that share weights between "
        "layers have no separate ones. Use another model, or a recipe without layer terms and a student by name."
    )


def word_embeddings(model: Any) -> nn.Module:
    """Return the table of word embeddings."""
    embeddings: nn.Module = model.get_input_embeddings()
    return embeddings


def set_dropout(model: nn.Module, probability: float) -> None:
    """Set every dropout of the model, in attention too; its saved configuration stays as it is."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        elif isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = probability  # type: ignore[assignment]


@contextmanager
def capture(model: nn.Module, layers: frozenset[int]) -> Iterator[dict[int, Tensor]]:
    """Collect the outputs ``[B, T, D]`` of `layers` (from 1) during forward passes in the block.

    With activation checkpointing a hook fires again on recomputation; the last value is kept. T counts the text's
    positions: those of a soft prompt are left out.
    """
    states: dict[int, Tensor] = {}
    if not layers:
        yield states
        return
    modules = layer_list(model)[1]
    before = prompt_vectors(model)

    def hook(layer: int) -> Any:
        def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
            state = output[0] if isinstance(output, tuple) else output
            states[layer] = state[:, before:] if before else state

        return keep

    handles = [modules[layer - 1].register_forward_hook(hook(layer)) for layer in layers]
    try:
        yield states
    finally:
        for handle in handles:
            handle.remove()


@lru_cache(maxsize=64)
def accepted_inputs(forward: Callable[..., object]) -> frozenset[str]:
    """Return the names of the inputs that a model's `forward` takes."""
    return frozenset(inspect.signature(forward).parameters)


def run_model(model: nn.Module, inputs: Mapping[str, Tensor], layers: frozenset[int] = frozenset()) -> Signal:
    """Run a classifier or scorer once and return its logits ``[B, C]`` and the outputs of `layers` (from 1).

    Each model is given the inputs that its own `forward` takes: a DistilBERT student reads no token
    types while its BERT teacher does.
    """
    known = {name: value for name, value in inputs.items() if name in accepted_inputs(type(model).forward)}
    with capture(model, layers) as states:
        output = model(**known)
    signal: Signal = {"logits_BC": output.logits}
    if getattr(output, "value", None) is not None:
        signal["value_B"] = output.value
    if states and (of_prompts := getattr(model, "prompt_states", None)) is not None:  # a label scorer
        states = {layer: of_prompts(state, inputs["attention_mask"]) for layer, state in states.items()}
    if any(len(state) != len(output.logits) for state in states.values()):
        raise ModelError(f"the layers of {type(model).__name__} do not put the batch first; use a recipe on logits")
    if states:
        signal["hidden_BTD"] = states
    return signal
