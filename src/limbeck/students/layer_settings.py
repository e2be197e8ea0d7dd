"""Configurations of models with some of another's layers: settings of single layers are carried over.

Configurations describe single layers in three ways:

a list with a value for each layer           ``layer_types``, ``no_rope_layers``, ``attention_window``
a list of the layers of some kind            ``mlp_only_layers``, ``moe_layers``, ``attn_layer_indices``
a rule by the layer's number                 ``first_k_dense_replace``, ``decoder_sparse_step``

Lists are cut along the layer map, whatever their name. Rules are rewritten if another number or list can express
them. `limbeck.students.layer_check` finds what was missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

__all__ = ["cut_setting", "cut_settings"]

_FIRST_LAYERS = ("first_k_dense_replace", "num_dense_layers", "max_window_layers", "moe_layer_start_index")
"""Rules that treat the first so many layers differently."""
_INDEX_ENDS = ("layers", "idxs", "indices", "indexes", "layer_ids")
"""Names of lists of layer numbers."""
_NO_LAYERS = ("architectures", "keys_to_ignore_at_inference")


def cut_settings(config: Any, layers: Sequence[int]) -> None:
    """Change the configuration of a text model in place, so that it describes only these of its layers.

    Args:
        config: configuration of the model that the layers are taken from.
        layers: numbers of the layers to keep, from 1, ascending.
    """
    depth = int(config.num_hidden_layers)
    if getattr(config, "decoder_sparse_step", 1) != 1:  # experts in every n-th layer, except mlp_only_layers
        dense = {layer for layer in range(depth) if (layer + 1) % config.decoder_sparse_step}
        config.mlp_only_layers, config.decoder_sparse_step = sorted(dense | set(config.mlp_only_layers or ())), 1
    for name, value in list(vars(config).items()):
        if name in _FIRST_LAYERS and isinstance(value, int):
            setattr(config, name, sum(layer <= value for layer in layers))
        elif not name.startswith("_") and not name.endswith("token_id") and name not in _NO_LAYERS:
            cut = cut_setting(name, value, layers, depth)
            if cut is not value:
                setattr(config, name, cut)
    if hasattr(config, "attention_types") and hasattr(config, "attention_layers"):  # GPT-Neo: groups of layers
        config.attention_types = [[[kind], 1] for kind in config.attention_layers]
    config.num_hidden_layers = len(layers)


def cut_setting(name: str, value: Any, layers: Sequence[int], depth: int) -> Any:
    """Return a setting of `depth` layers cut to `layers`; anything else unchanged."""
    if isinstance(value, str) and name.endswith("pattern") and len(value) == depth:
        return "".join(value[layer - 1] for layer in layers)
    if not isinstance(value, list | tuple):
        return value
    if _are_numbers(name, value, depth):
        return type(value)(place for place, layer in enumerate(layers) if layer - 1 in value)
    longer_than_needed = len(value) > depth and name.endswith("layers")  # SmolLM3: at least as many as layers
    if len(value) == depth or longer_than_needed:
        return type(value)(value[layer - 1] for layer in layers)
    return value


def _are_numbers(name: str, values: Sequence[Any], depth: int) -> bool:
    """Return whether a list holds layer numbers, from 0; the flags of two layers (0, 1) count as flags."""
    if not name.endswith(_INDEX_ENDS) or not values or not all(type(value) is int for value in values):
        return False
    ascending = all(one < other for one, other in pairwise(values))
    return ascending and values[0] >= 0 and values[-1] < depth and (len(values) < depth or depth > 2)
