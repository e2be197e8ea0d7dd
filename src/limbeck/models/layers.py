"""The layers of a Hugging Face model, their number and width, and the inputs of its `forward`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from torch import nn

from limbeck.errors import ModelError
from limbeck.types import Shapes

__all__ = [
    "accepted_inputs",
    "depth",
    "head_groups",
    "head_width",
    "heads",
    "is_causal",
    "is_recurrent",
    "layer_list",
    "set_dropout",
    "shapes",
    "text_config",
    "width",
    "word_embeddings",
]


def text_config(model: Any) -> Any:
    """Return the part of the model's configuration about text: all of it for a text-only model."""
    config = model.config
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def depth(model: Any) -> int:
    """Return the number of transformer layers."""
    return int(text_config(model).num_hidden_layers)


def width(model: Any) -> int:
    """Return the width of the hidden states."""
    return int(text_config(model).hidden_size)


def heads(model: Any) -> int:
    """Return the number of attention heads per layer; 0 if layers differ or the configuration does not say."""
    found = getattr(text_config(model), "num_attention_heads", 0)
    return found if isinstance(found, int) else 0


def head_groups(model: Any) -> int:
    """Return the number of heads of keys and values per layer; 0 if unknown, as `heads`."""
    found = getattr(text_config(model), "num_key_value_heads", None)
    return found if isinstance(found, int) else 0 if isinstance(found, list) else heads(model)


def head_width(model: Any) -> int:
    """Return the width of an attention head; 0 if unknown, as `heads`."""
    config = text_config(model)
    found = getattr(config, "head_dim", None)
    if isinstance(found, int):
        return found
    inside = int(getattr(config, "true_hidden_size", width(model)))  # of MobileBERT's bottlenecks
    return inside // heads(model) if heads(model) else 0


def is_causal(model: Any) -> bool:
    """Whether tokens see only earlier ones, in a model with one list of layers."""
    return not model.config.is_encoder_decoder and any(
        getattr(module, "is_causal", False) for module in model.modules()
    )


def is_recurrent(config: Any) -> bool:
    """Whether a configuration is that of a model that reads by recurrence, and has no transformer layers."""
    return bool(getattr(config, "is_recurrent", False))


def shapes(teacher: Any, student: Any) -> Shapes:
    """Return the depth, width and attention of a pair of models."""
    return Shapes(
        depth(teacher), width(teacher), depth(student), width(student), heads(teacher), heads(student),
        head_groups(teacher), head_groups(student), head_width(teacher), head_width(student),
        causal=is_causal(teacher) or is_causal(student), outputs=int(getattr(student.config, "num_labels", 0)),
    )  # fmt: skip


def layer_list(model: Any, half: str | None = None) -> tuple[str, nn.ModuleList]:
    """Return the name and the list of the transformer layers.

    Args:
        model: any Hugging Face model.
        half: ``encoder`` or ``decoder``, for a model with both.

    Raises:
        ModelError: the model has no list with as many layers as its configuration says (for example an LSTM, or
            ALBERT, whose layers share one set of weights); it has two halves but none is named, or the reverse.
    """
    if bool(model.config.is_encoder_decoder) != (half is not None):
        raise ModelError(
            f"{type(model).__name__} has an encoder and a decoder: layers can only be mapped in models with one list "
            "of layers. Use a recipe without hints of hidden states"
            if half is None
            else f"{type(model).__name__} has one list of layers and no {half}"
        )
    if half is not None:
        stack = model.get_encoder() if half == "encoder" else model.get_decoder()
        inside = next((name, part) for name, part in stack.named_children() if isinstance(part, nn.ModuleList))
        return f"{half}.{inside[0]}", inside[1]
    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth(model)
    ]
    others = [name for name, _ in lists[1:] if not name.startswith(f"{lists[0][0]}.")]
    if others:
        raise ModelError(
            f"{type(model).__name__} splits its {depth(model)} layers over several lists "
            f"({', '.join([lists[0][0], *others][:4])}): no module is a layer. Use another model, or a recipe without "
            "layer terms and a student by name"
        )
    if lists:
        return lists[0]
    raise ModelError(
        f"cannot find the {depth(model)} layers of {type(model).__name__}: models that share weights between "
        "layers have no separate ones, and recurrent models none at all. Use another model, or a recipe without layer "
        "terms and a student by name."
    )


def word_embeddings(model: Any) -> nn.Module:
    """Return the table of word embeddings."""
    embeddings: nn.Module = model.get_input_embeddings()
    return embeddings


def set_dropout(model: nn.Module, probability: float) -> None:
    """Set every dropout of the model, also in attention; its saved configuration is unchanged."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        elif isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = probability  # type: ignore[assignment]


@lru_cache(maxsize=64)
def accepted_inputs(forward: Callable[..., object]) -> frozenset[str]:
    """Return the input names of a model's `forward`."""
    return frozenset(inspect.signature(forward).parameters)
