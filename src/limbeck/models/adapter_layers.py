"""Small trainable modules put into a frozen model: series adapters, soft prompts, prefixes.

They are hooks on the model's own modules, so the model keeps its class, and its own tensors keep their names. A
folder saved with such modules holds all tensors, and ``adapter.json`` tells where the modules belong.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.json_file import faults_in, read_json

__all__ = [
    "AdapterLayers",
    "SeriesAdapter",
    "insert_adapter_layers",
    "positions_taken",
    "prompt_vectors",
    "read_adapter_layers",
    "require_adapter_weights",
    "write_adapter_layers",
]

_FILE = "adapter.json"
_ADVICE = "Write the student again, or copy its folder again"
_INIT_STD = 0.02


@dataclass(frozen=True)
class AdapterLayers:
    """The modules that were inserted, and where."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: Literal["houlsby", "prompt", "prefix"]
    sites: tuple[str, ...] = ()
    """Names of the linear maps whose outputs series adapters change."""
    width: int = 0
    """Inner width m of series adapters."""
    vectors: int = 0
    """Vectors of a soft prompt or prefix."""


class SeriesAdapter(nn.Module):
    """``h + U g(D h)`` on outputs h ``[..., d]`` of a linear map, before dropout and residual sum; g is GELU.

    U and its bias start at zero, so a fresh adapter changes nothing. ``2dm + d + m`` parameters.

    Reference: Houlsby et al. 2019, Parameter-Efficient Transfer Learning for NLP, arXiv:1902.00751, section 2.1.

    Args:
        outputs: width d.
        width: inner width m.
    """

    def __init__(self, outputs: int, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(outputs, width)
        self.up = nn.Linear(width, outputs)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the changed outputs, of the same shape and precision."""
        inner = nn.functional.gelu(self.down(hidden.to(self.down.weight.dtype)))
        changed: Tensor = hidden + self.up(inner).to(hidden.dtype)
        return changed


def insert_adapter_layers(model: Any, layers: AdapterLayers) -> Any:
    """Insert `layers` into a Hugging Face model in place and return it.

    Raises:
        ModelError: the model has no such modules, or its kind cannot take these layers.
    """
    if layers.kind == "houlsby":
        _insert_series(model, layers)
    elif layers.kind == "prompt":
        _insert_prompt(model, layers.vectors)
    else:
        _insert_prefix(model, layers.vectors)
    model.adapter_layers = layers
    return model


def prompt_vectors(model: Any) -> int:
    """Return the number of soft-prompt vectors before each text in the outputs of the model's layers."""
    layers = getattr(model, "adapter_layers", None)
    return int(layers.vectors) if layers is not None and layers.kind == "prompt" else 0


def positions_taken(model: Any) -> int:
    """Return the number of a text's positions that a soft prompt or prefix takes up."""
    layers = getattr(model, "adapter_layers", None)
    return int(layers.vectors) if layers is not None else 0


def write_adapter_layers(model: Any, folder: Path) -> None:
    """Write ``adapter.json`` for a model with adapter layers; nothing for others."""
    layers = getattr(model, "adapter_layers", None)
    if layers is not None:
        (folder / _FILE).write_text(json.dumps(asdict(layers), indent=2), encoding="utf-8")


def read_adapter_layers(folder: str | Path) -> AdapterLayers | None:
    """Return a model folder's description of its adapter layers, or ``None`` if there are none.

    Raises:
        ModelError: ``adapter.json`` is damaged.
    """
    path = Path(folder) / _FILE
    if not path.exists():
        return None
    values = read_json(path, _ADVICE)
    try:
        return TypeAdapter(AdapterLayers).validate_python(values)
    except ValidationError as error:
        raise ModelError(f"{path} is damaged: {faults_in(error)}. {_ADVICE}") from error


def require_adapter_weights(layers: AdapterLayers, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse sizes in ``adapter.json`` that differ from the weights, before anything of that size is created.

    Args:
        layers: the file's content.
        shapes: shapes of the tensors in the weights files, by name.

    Raises:
        ModelError: they differ, or the weights lack an adapter.
    """
    if layers.kind == "houlsby":
        wanted = {f"{site}.series_adapter.down.weight": (0, layers.width) for site in layers.sites}
    else:
        ends, place = (".soft_prompt", 0) if layers.kind == "prompt" else (".soft_prefix", 3)
        wanted = {next((name for name in shapes if name.endswith(ends)), ends[1:]): (place, layers.vectors)}
    for name, (place, size) in wanted.items():
        found = shapes.get(name, ())[place : place + 1]
        if found != (size,):
            raise ModelError(
                f"{_FILE} says that {name} has size {size}, but the weights have {found[0] if found else 'none'}. "
                f"{_ADVICE}"
            )


def _insert_series(model: Any, layers: AdapterLayers) -> None:
    named = dict(model.named_modules())
    for name in layers.sites:
        if name not in named:
            raise ModelError(f"{type(model).__name__} has no module '{name}' to put a series adapter after")
        site = named[name]
        if not hasattr(site, "out_features") and not hasattr(site, "nf"):
            raise ModelError(f"{type(model).__name__}: '{name}' is not a linear map to put a series adapter after")
        # A torch Linear is [out, in], GPT-2's Conv1D has its outputs in nf.
        outputs = int(getattr(site, "out_features", None) or site.nf)
        device = next(site.parameters()).device
        site.series_adapter = SeriesAdapter(outputs, layers.width).to(device)
        site.register_forward_hook(_apply_series)


def _apply_series(site: Any, _inputs: Any, output: Tensor) -> Tensor:
    changed: Tensor = site.series_adapter(output)
    return changed


def _insert_prompt(model: Any, vectors: int) -> None:
    _require_decoder_or_encoder(model, "prompt")
    backbone = model.base_model
    words = backbone.get_input_embeddings().weight
    # A prompt starts best from embeddings of real words (Lester et al. 2021, arXiv:2104.08691, section 3.2).
    picked = torch.randint(words.shape[0], (vectors,), device=words.device)
    backbone.soft_prompt = nn.Parameter(words.detach()[picked].float().clone())
    backbone.register_forward_pre_hook(_prepend_prompt, with_kwargs=True)
    backbone.register_forward_hook(_cut_prompt)


def _insert_prefix(model: Any, vectors: int) -> None:
    _require_decoder_or_encoder(model, "prefix")
    config, backbone = model.config, model.base_model
    heads = config.num_attention_heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    per_head = getattr(config, "head_dim", None) or config.hidden_size // heads
    device = next(backbone.parameters()).device
    # Keys and values of each layer [L, 2, heads, vectors, width]; Li and Liang 2021, arXiv:2101.00190, equation 3.
    shape = (config.num_hidden_layers, 2, kept, vectors, per_head)
    backbone.soft_prefix = nn.Parameter(_INIT_STD * torch.randn(shape, device=device))
    backbone.register_forward_pre_hook(_give_prefix, with_kwargs=True)


def _require_decoder_or_encoder(model: Any, kind: str) -> None:
    accepted = _input_names(type(model.base_model).forward)
    needed = {"inputs_embeds"} if kind == "prompt" else {"past_key_values"}
    encoder = kind == "prefix" and not _reads_left_to_right(model)
    if model.config.is_encoder_decoder or encoder or not needed <= set(accepted):
        other = "a decoder (Llama, GPT-2, OPT, ...)" if kind == "prefix" else "only an encoder or only a decoder"
        raise ModelError(
            f"adapter kind '{kind}' needs {other}, but {type(model).__name__} is not one; use lora or houlsby"
        )


def _reads_left_to_right(model: Any) -> bool:
    """Return whether the model caches keys and values of earlier tokens: a decoder."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    encoders = ("bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert", "modernbert", "deberta")
    return type(model.config) in MODEL_FOR_CAUSAL_LM_MAPPING and model.config.model_type not in encoders


@lru_cache(maxsize=64)
def _input_names(forward: Callable[..., object]) -> tuple[str, ...]:
    return tuple(inspect.signature(forward).parameters)[1:]


def _named_inputs(backbone: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return all inputs by name; refuse a filled cache of keys and values, whose positions are not shifted."""
    inputs = dict(zip(_input_names(type(backbone).forward), args, strict=False)) | kwargs
    cache = inputs.get("past_key_values")
    if cache is not None and cache.get_seq_length() > 0:
        raise ModelError("a model with a soft prompt or prefix reads whole texts: generate with use_cache=False")
    return inputs


def _lengthen(inputs: dict[str, Any], rows: int, tokens: int, vectors: int, device: torch.device) -> None:
    """Add `vectors` positions on the left of the mask, and shift position ids if given."""
    mask = inputs.get("attention_mask")
    if mask is None:
        mask = torch.ones(rows, tokens, dtype=torch.int64, device=device)
    inputs["attention_mask"] = torch.cat([mask.new_ones(rows, vectors), mask], dim=1)


def _prepend_prompt(backbone: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[()], dict[str, Any]]:
    inputs = _named_inputs(backbone, args, kwargs)
    ids, embeds_BTD = inputs.pop("input_ids", None), inputs.pop("inputs_embeds", None)
    if embeds_BTD is None:
        embeds_BTD = backbone.get_input_embeddings()(ids)
    rows, tokens, _ = embeds_BTD.shape
    vectors = len(backbone.soft_prompt)
    prompt_BPD = backbone.soft_prompt.to(embeds_BTD.dtype).expand(rows, -1, -1)
    _lengthen(inputs, rows, tokens, vectors, embeds_BTD.device)
    if (types := inputs.get("token_type_ids")) is not None:
        inputs["token_type_ids"] = torch.cat([types.new_zeros(rows, vectors), types], dim=1)
    if (positions := inputs.get("position_ids")) is not None:
        first = torch.arange(vectors, device=positions.device).expand(len(positions), -1)
        inputs["position_ids"] = torch.cat([first, positions + vectors], dim=1)
    return (), inputs | {"inputs_embeds": torch.cat([prompt_BPD, embeds_BTD], dim=1)}


def _cut_prompt(backbone: Any, _inputs: Any, output: Any) -> Any:
    """Pass only the text's positions to the head, so that it finds the first, the last or any of them."""
    vectors = len(backbone.soft_prompt)
    output.last_hidden_state = output.last_hidden_state[:, vectors:]
    if getattr(output, "hidden_states", None) is not None:
        output.hidden_states = tuple(states[:, vectors:] for states in output.hidden_states)
    if getattr(output, "pooler_output", None) is not None:
        output.pooler_output = backbone.pooler(output.last_hidden_state)
    return output


def _give_prefix(backbone: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[()], dict[str, Any]]:
    from transformers import DynamicCache

    inputs = _named_inputs(backbone, args, kwargs)
    given = inputs.get("inputs_embeds") if inputs.get("input_ids") is None else inputs["input_ids"]
    assert given is not None
    rows, tokens = given.shape[:2]
    prefix = backbone.soft_prefix.to(backbone.get_input_embeddings().weight.dtype)
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(prefix):
        cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
    vectors = prefix.shape[3]
    _lengthen(inputs, rows, tokens, vectors, given.device)
    if (positions := inputs.get("position_ids")) is not None:
        inputs["position_ids"] = positions + vectors
    return (), inputs | {"past_key_values": cache}
