"""Adapters: a few trained parameters in a model whose own parameters are frozen.

LoRA and QLoRA are peft's layers, injected in place; series adapters, soft prompts and prefixes are in
`limbeck.models.adapter_layers`. In place, because a wrapper hides the model's class and its inputs from the code
that runs it, and peft's wrapper for soft prompts makes classifiers read the last position of a padded row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.adapter_layers import AdapterLayers, insert_adapter_layers
from limbeck.models.pooled_classifier import PooledClassifier
from limbeck.ranks import device

__all__ = [
    "Adapter",
    "adapter_notes",
    "add_adapter",
    "all_parameters",
    "merged_for_export",
    "quantised_weights",
    "quantises",
    "trainable_parameters",
]

Kind = Literal["lora", "qlora", "houlsby", "prompt", "prefix", "bitfit"]

_QUERY_AND_VALUE = {
    "q_proj", "v_proj", "query", "value", "q_lin", "v_lin", "query_proj", "value_proj", "q", "v",
    "c_attn", "query_key_value", "qkv_proj", "Wqkv", "in_proj",
}  # fmt: skip
"""Last part of the names of query and value maps, or of a joint map for query, key and value."""
_SERIES_SITES = re.compile(
    r"(attn|attention)\.(o_proj|out_proj|out_lin|c_proj|dense|Wo)$"
    r"|(^|\.)output\.dense$|(^|\.)(down_proj|fc2|lin2|dense_4h_to_h|fc_out)$|mlp\.(c_proj|Wo)$"
)
"""Last map of the attention and of the feed-forward block, before the residual sum."""

_DEFAULTS: dict[str, dict[str, Any]] = {
    "lora": {"rank": 64, "alpha": 16.0, "dropout": 0.1, "targets": "attention"},
    "qlora": {"rank": 64, "alpha": 16.0, "dropout": 0.1, "targets": "attention"},
    "houlsby": {"width": 64},
    "prompt": {"vectors": 20},
    "prefix": {"vectors": 20},
    "bitfit": {},
}
"""The options of each kind. Rank, dropout and targets of LoRA follow Saxena, Janzen and Maass; the others are ours."""


class Adapter(BaseModel):
    """The adapter that the student is trained with. A field that its kind does not use is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind = "lora"
    """``lora``; ``qlora``: LoRA on a base with 4-bit weights; ``houlsby``: series adapters; ``prompt``: vectors before
    the text; ``prefix``: keys and values before it in each layer (decoders); ``bitfit``: only the biases."""
    rank: Annotated[int, Field(gt=0, le=2**16)] | None = None
    """r of LoRA, default 64. Small models need less: 8."""
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """LoRA's update is scaled by alpha / rank; default 16."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Dropout on the input of LoRA's update, in training; default 0.1."""
    targets: Literal["attention", "query_value", "all_linear"] | list[str] | None = None
    """Linear maps that LoRA changes: those of the attention (default), of queries and values, all in the layers, or
    those whose names end in the given names."""
    width: Annotated[int, Field(gt=0, le=2**16)] | None = None
    """Inner width of series adapters, default 64."""
    vectors: Annotated[int, Field(gt=0, le=2**16)] | None = None
    """Vectors of a soft prompt or prefix, default 20."""

    @model_validator(mode="before")
    @classmethod
    def _reads_what_its_kind_reads(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        kind = values.get("kind", "lora")
        reads = _DEFAULTS.get(kind) if isinstance(kind, str) else None
        if reads is None:
            return values  # the field's own check lists the kinds
        optional = {name for defaults in _DEFAULTS.values() for name in defaults}
        if unread := sorted(n for n in optional - set(reads) if values.get(n) is not None):
            raise ValueError(
                f"adapter kind '{kind}' has no option {', '.join(unread)}; its options: {', '.join(reads) or 'none'}"
            )
        return {**values, **{name: value for name, value in reads.items() if values.get(name) is None}}


def add_adapter(model: Any, adapter: Adapter) -> Any:
    """Freeze a Hugging Face classifier or language model, put the adapter into it in place, and return it.

    From then on, training changes only the adapter, and the head of a classifier. The model's saved state holds only
    trained parameters, so checkpoints are small; it loads into a model built in the same way. LoRA, QLoRA and series
    adapters change no output before they are trained. Random numbers come from torch's global generator.

    With ``qlora`` the linear maps of the layers become 4-bit (NF4, block 64, constants quantised once more in blocks
    of 256; Dettmers et al. 2023, arXiv:2305.14314, section 3) if bitsandbytes is installed; otherwise the base stays
    as it is, and `adapter_notes` says so.

    Raises:
        ModelError: the model has no place for this adapter, or already has one.
    """
    if getattr(model, "adapter", None) is not None:
        raise ModelError(f"the model already has an adapter of kind '{model.adapter.kind}'")
    model.requires_grad_(False)
    if adapter.kind in ("lora", "qlora"):
        _insert_lora(model, adapter)
    elif adapter.kind == "bitfit":
        _train_biases(model)
    else:
        _insert_layers(model, adapter)
    for parameter in _head(model):
        parameter.requires_grad_(True)
    model.adapter = adapter
    model.register_state_dict_post_hook(_drop_frozen)
    model.register_load_state_dict_pre_hook(_fill_frozen)
    return model


def trainable_parameters(model: nn.Module) -> int:
    """Return the number of parameters that training changes, counting shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def all_parameters(model: nn.Module) -> int:
    """Return the number of all parameters, counting shared ones once and 4-bit weights one by one, although packed."""
    states = ((parameter, getattr(parameter, "quant_state", None)) for parameter in model.parameters())
    return sum(parameter.numel() if state is None else state.shape.numel() for parameter, state in states)


def quantises(adapter: Adapter | None) -> bool:
    """Return whether this adapter quantises the base to 4 bits on this machine."""
    return adapter is not None and adapter.kind == "qlora" and _has_nf4()


def quantised_weights(model: Any) -> list[int]:
    """Return the sizes of the weight matrices that ``qlora`` quantises to 4 bits, in numbers of weights."""
    return [model.get_submodule(name).weight.numel() for name in _linear_maps(model)]


def adapter_notes(adapter: Adapter) -> list[str]:
    """Return what a report must say about this adapter on this machine."""
    if adapter.kind == "qlora" and not quantises(adapter):
        return [
            "The base was not quantised: bitsandbytes is not installed (pip install limbeck[qlora]). "
            "The student was trained with LoRA on full-precision weights, which take the memory of full precision."
        ]
    return []


def merged_for_export(model: Any) -> Any:
    """Return the trained model as it is saved, changed in place: it cannot be trained any further.

    LoRA is added to the base weights, and a 4-bit base becomes float32 first: a plain transformers model that computes
    the same up to rounding. Biases are already in place. Series adapters, soft prompts and prefixes stay;
    `limbeck.models.load.save_model` writes them with the base, and `load_classifier` and `load_language_model` read
    them; transformers alone would load the base without them. A model without an adapter is returned unchanged.
    """
    if getattr(model, "adapter", None) is None:
        return model
    _merge_lora(model)
    model.adapter = None  # from now on its saved state is complete
    return model


def _insert_lora(model: Any, adapter: Adapter) -> None:
    from peft import LoraConfig, inject_adapter_in_model
    from transformers.pytorch_utils import Conv1D

    assert adapter.rank is not None
    names = _lora_targets(model, adapter.targets)
    if quantises(adapter):
        _quantise(model)
    turned = {isinstance(model.get_submodule(name), Conv1D) for name in names}
    for fan_in_fan_out in sorted(turned):
        chosen = [n for n in names if isinstance(model.get_submodule(n), Conv1D) == fan_in_fan_out]
        config = LoraConfig(
            r=adapter.rank,
            lora_alpha=adapter.alpha,
            lora_dropout=adapter.dropout or 0.0,
            target_modules=chosen,
            bias="none",
            fan_in_fan_out=fan_in_fan_out,
        )
        inject_adapter_in_model(config, model)


def _lora_targets(model: Any, targets: str | list[str] | None) -> list[str]:
    """Return the full names of the linear maps to change."""
    linear = _linear_maps(model)
    if isinstance(targets, list):
        chosen = [n for n in linear if any(n == end or n.endswith(f".{end}") for end in targets)]
        missing = [end for end in targets if not any(n == end or n.endswith(f".{end}") for n in linear)]
    else:
        attention = [n for n in linear if "attn" in n.lower() or "attention" in n.lower()]
        chosen = {
            "all_linear": linear,
            "attention": attention,
            "query_value": [n for n in attention if n.rsplit(".", 1)[-1] in _QUERY_AND_VALUE],
        }[targets or "attention"]
        missing = []
    if missing or not chosen:
        kinds = sorted({re.sub(r"\.?\d+\.", ".", n).rsplit(".", 1)[-1] for n in linear})
        wanted = ", ".join(missing) if missing else f"'{targets}'"
        raise ModelError(
            f"adapter.targets: {type(model).__name__} has no linear maps {wanted} in its layers; choose from "
            f"those it has: {', '.join(kinds) or 'none'}"
        )
    return chosen


def _linear_maps(model: Any) -> list[str]:
    """Return the names of the linear maps in the layers, not of embeddings, poolers and heads."""
    from transformers.pytorch_utils import Conv1D

    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and any(part.isdigit() for part in name.split("."))
    ]


def _head(model: Any) -> list[nn.Parameter]:
    """Return a classifier's parameters outside its backbone; none for a language model, whose head is pretrained."""
    plain = any(f"For{head}Classification" in type(model).__name__ for head in ("Sequence", "Token"))
    if not plain and not isinstance(model, PooledClassifier):
        return []
    backbone = {id(parameter) for parameter in model.base_model.parameters()}
    return [parameter for parameter in model.parameters() if id(parameter) not in backbone]


def _train_biases(model: Any) -> None:
    """Train the biases of the layers. Ben Zaken et al. 2022 (BitFit), arXiv:2106.10199, section 3."""
    biases = [parameter for name, parameter in model.base_model.named_parameters() if name.endswith("bias")]
    if not biases:
        raise ModelError(f"{type(model).__name__} has no biases for bitfit to train; use lora")
    for bias in biases:
        bias.requires_grad_(True)


def _insert_layers(model: Any, adapter: Adapter) -> None:
    before = {id(parameter) for parameter in model.parameters()}
    if adapter.kind == "houlsby":
        assert adapter.width is not None
        sites = tuple(name for name in _linear_maps(model) if _SERIES_SITES.search(name))
        if len(sites) != 2 * model.config.num_hidden_layers:
            raise ModelError(
                f"found {len(sites)} places for series adapters in {type(model).__name__}, but expected the ends of "
                f"attention and feed-forward block in each of {model.config.num_hidden_layers} layers; use lora"
            )
        layers = AdapterLayers("houlsby", sites=sites, width=adapter.width)
    else:
        assert adapter.vectors is not None
        layers = AdapterLayers(adapter.kind, vectors=adapter.vectors)  # type: ignore[arg-type]
    insert_adapter_layers(model, layers)
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) not in before)


def _drop_frozen(module: nn.Module, state: dict[str, Tensor], prefix: str, _metadata: object) -> None:
    """Leave frozen parameters out of a saved state, with the values that bitsandbytes keeps for them."""
    if module.adapter is None:
        return
    frozen = [prefix + n for n, p in module.named_parameters(remove_duplicate=False) if not p.requires_grad]
    for name in frozen:
        for found in [name, *(key for key in state if key.startswith(f"{name}."))]:
            state.pop(found, None)


def _fill_frozen(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Treat frozen parameters as loaded: they are the model's own."""
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if not parameter.requires_grad:
            state.setdefault(prefix + name, parameter.data)


def _has_nf4() -> bool:
    return find_spec("bitsandbytes") is not None


def _quantise(model: Any) -> None:
    """Turn the linear maps of the layers into NF4 with double quantisation, on the training device."""
    import bitsandbytes as bnb
    from transformers.pytorch_utils import Conv1D

    where = device()
    compute = torch.bfloat16 if where.startswith("cuda") else torch.float32
    for name in _linear_maps(model):
        old = model.get_submodule(name)
        weight = old.weight.data.T.contiguous() if isinstance(old, Conv1D) else old.weight.data
        outputs, inputs = weight.shape
        new = bnb.nn.Linear4bit(
            inputs, outputs, bias=old.bias is not None, compute_dtype=compute, quant_type="nf4", device="meta"
        )
        new.weight = bnb.nn.Params4bit(weight, requires_grad=False, quant_type="nf4", compress_statistics=True)
        new.bias = old.bias
        # Otherwise a prediction on a CPU with bfloat16 repacks the weights for good: in bfloat16, without gradients.
        new.support_avx512bf16_for_cpu = False
        new.was_conv1d = isinstance(old, Conv1D)
        model.set_submodule(name, new.to(where))
    model.is_loaded_in_4bit = True  # peft checks this


def _merge_lora(model: Any) -> None:
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in _of_type(model, BaseTunerLayer):
        base = module.get_base_layer()
        if hasattr(base, "quant_state"):
            (active,) = module.active_adapters
            turned, base = base.was_conv1d, _full_precision(base)
            delta = module.get_delta_weight(active).to(base.weight.data)
            base.weight.data += delta.T if turned else delta
        else:
            module.merge(safe_merge=True)
        model.set_submodule(name, base)
    if getattr(model, "is_loaded_in_4bit", False):
        for name, module in [(n, m) for n, m in model.named_modules() if hasattr(m, "quant_state")]:
            model.set_submodule(name, _full_precision(module))
        del model.is_loaded_in_4bit


def _of_type(model: nn.Module, kind: type) -> Iterable[tuple[str, Any]]:
    return [(name, module) for name, module in model.named_modules() if isinstance(module, kind)]


def _full_precision(quantised: Any) -> nn.Module:
    """Return the float32 equivalent of a 4-bit linear map, of the class it was quantised from."""
    import bitsandbytes as bnb
    from transformers.pytorch_utils import Conv1D

    weight = bnb.functional.dequantize_4bit(quantised.weight.data, quantised.weight.quant_state).float()
    outputs, inputs = weight.shape
    plain: Any = Conv1D(outputs, inputs) if quantised.was_conv1d else nn.Linear(inputs, outputs, device="meta")
    plain.weight = nn.Parameter(weight.T.contiguous() if quantised.was_conv1d else weight)
    plain.bias = None if quantised.bias is None else nn.Parameter(quantised.bias.data.float())
    return cast(nn.Module, plain)
