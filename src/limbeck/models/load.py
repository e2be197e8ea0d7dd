"""Loading classifiers and tokenizers: safetensors only, no remote code, clear errors."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limbeck.errors import ModelError
from limbeck.models.adapter_layers import (
    AdapterLayers,
    insert_adapter_layers,
    read_adapter_layers,
    write_adapter_layers,
)
from limbeck.models.label_scorer import LabelScorer, language_model_of, read_verbaliser, write_verbaliser

__all__ = [
    "frozen_fingerprint",
    "has_named_labels",
    "hub_name",
    "is_plain_folder",
    "load_classifier",
    "load_config",
    "load_encoder",
    "load_language_model",
    "load_masked_lm",
    "load_tokenizer",
    "load_weights",
    "model_labels",
    "new_classifier",
    "new_encoder",
    "save_model",
    "save_module",
    "weights_fingerprint",
]

_HUB_NAME = re.compile(r"[\w-][\w.-]{0,95}(/[\w-][\w.-]{0,95})?")


def hub_name(model: str | None) -> str | None:
    """Return the name under which the Hugging Face hub knows a model; ``None`` for a folder of this machine."""
    return model if model and _HUB_NAME.fullmatch(model) and not Path(model).exists() else None


def load_tokenizer(name: str, *, trust_remote_code: bool = False) -> Any:
    """Load the tokenizer of a model folder or hub name.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise _cannot_load("the tokenizer", name, error) from error


def load_config(name: str, *, trust_remote_code: bool = False) -> Any:
    """Load the configuration of a model folder or hub name.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise _cannot_load("the configuration", name, error) from error


def load_classifier(name: str, *, labels: Sequence[str] | None = None, trust_remote_code: bool = False) -> Any:
    """Load a sequence classifier in float32 from a folder or hub name.

    Args:
        name: a folder in Hugging Face format, or a hub name.
        labels: give the model a classifier for these labels. A classifier that the folder already
            has for the same number of labels is kept; a pretrained encoder gets a new one.
            ``None``: the folder must hold a fine-tuned classifier, used as it is.
        trust_remote_code: run Python code that comes with the model; off unless the user asks.

    Raises:
        ModelError: not found, not safetensors, no classifier where one is needed, or a classifier
            with another number of labels.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    if labels is None and (verbaliser := read_verbaliser(name)) is not None:
        return LabelScorer(load_language_model(name, trust_remote_code=trust_remote_code), verbaliser)
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    config = load_config(name, **options)
    if labels is not None:
        if _is_classifier(config) and config.num_labels != len(labels):
            raise ModelError(
                f"{name} classifies {config.num_labels} labels, but the task has {len(labels)}. "
                "Use a model for this task, or a pretrained encoder and teacher.fine_tune."
            )
        options.update(num_labels=len(labels), id2label=dict(enumerate(labels)))
        options.update(label2id={label: i for i, label in enumerate(labels)})
    if (layers := read_adapter_layers(name)) is not None:
        for key, value in options.items():
            if key != "trust_remote_code":
                setattr(config, key, value)
        return _load_with_adapter(AutoModelForSequenceClassification, name, config, layers, trust_remote_code)
    try:
        model, info = AutoModelForSequenceClassification.from_pretrained(
            name, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options
        )
    except (OSError, ValueError, KeyError, RuntimeError, json.JSONDecodeError) as error:
        raise _cannot_load("the model", name, error) from error
    if labels is None and any("classifier" in key or "score" in key for key in info["missing_keys"]):
        raise ModelError(
            f"{name} holds no trained classifier (missing: {', '.join(sorted(info['missing_keys'])[:4])}). "
            "Name a fine-tuned model, or add teacher.fine_tune so that it is fine-tuned on your labelled rows first."
        )
    return model


def new_classifier(name: str, *, labels: Sequence[str], trust_remote_code: bool = False) -> Any:
    """Return a classifier of the same shape as the one of a folder or hub name, with new weights.

    Raises:
        ModelError: the configuration cannot be read, or does not make a classifier.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    config = load_config(name, trust_remote_code=trust_remote_code)
    config.num_labels = len(labels)
    try:
        return AutoModelForSequenceClassification.from_config(
            config, dtype=torch.float32, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError, KeyError) as error:
        raise _cannot_load("a classifier", name, error) from error


def new_encoder(name: str, *, trust_remote_code: bool = False) -> Any:
    """Return an encoder of the same shape as the one of a folder or hub name, on the default device, with new weights.

    Raises:
        ModelError: the configuration cannot be read, or does not make an encoder.
    """
    from transformers import AutoModel

    config = load_config(name, trust_remote_code=trust_remote_code)
    try:
        return AutoModel.from_config(config, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise _cannot_load("an encoder", name, error) from error


def load_language_model(name: str, *, bf16: bool = False, trust_remote_code: bool = False) -> Any:
    """Load a pretrained model that writes, causal or sequence-to-sequence, from a folder or hub name.

    Its weights are float32, or bfloat16 where asked for.

    Raises:
        ModelError: not found, not safetensors, or no trained weights of a language model in it.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = load_config(name, trust_remote_code=trust_remote_code)
    auto_class = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    if (layers := read_adapter_layers(name)) is not None:
        return _load_with_adapter(auto_class, name, config, layers, trust_remote_code, bf16=bf16)
    return _load_pretrained(auto_class, name, trust_remote_code, bf16=bf16)


def load_encoder(name: str, *, trust_remote_code: bool = False) -> Any:
    """Load a pretrained encoder without any head, in float32, from a folder or hub name.

    Raises:
        ModelError: not found, not safetensors, or no weights of an encoder in it.
    """
    from transformers import AutoModel

    model = _load_pretrained(AutoModel, name, trust_remote_code)
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # reads the first position for a head of its own; often untrained, never used here
    return model


def load_masked_lm(name: str, *, trust_remote_code: bool = False) -> Any:
    """Load a pretrained encoder with its masked-language head, in float32, from a folder or hub name.

    Raises:
        ModelError: not found, not safetensors, or the folder has no trained masked-language head.
    """
    from transformers import AutoModelForMaskedLM

    return _load_pretrained(AutoModelForMaskedLM, name, trust_remote_code)


def _load_with_adapter(
    auto_class: Any, name: str, config: Any, layers: AdapterLayers, trust_remote_code: bool, *, bf16: bool = False
) -> Any:
    """Load a folder that holds a base and the adapter layers trained in it (see `limbeck.models.adapter_layers`)."""
    import torch
    from transformers import GenerationConfig

    model = auto_class.from_config(config, dtype=torch.float32, trust_remote_code=trust_remote_code)
    load_weights(insert_adapter_layers(model, layers), Path(name))
    if (Path(name) / "generation_config.json").exists() and hasattr(model, "generation_config"):
        model.generation_config = GenerationConfig.from_pretrained(name)
    return (model.to(torch.bfloat16) if bf16 else model).eval()


def _load_pretrained(auto_class: Any, name: str, trust_remote_code: bool, *, bf16: bool = False) -> Any:
    import torch

    try:
        model, info = auto_class.from_pretrained(
            name,
            use_safetensors=True,
            dtype=torch.bfloat16 if bf16 else torch.float32,
            output_loading_info=True,
            trust_remote_code=trust_remote_code,
        )
    except (OSError, ValueError, KeyError, RuntimeError, json.JSONDecodeError) as error:
        raise _cannot_load("the model", name, error) from error
    if missing := sorted(key for key in info["missing_keys"] if "pooler" not in key):
        raise ModelError(
            f"{name} lacks trained weights for {auto_class.__name__} (missing: {', '.join(missing[:4])}). "
            "Name a pretrained model of this kind"
        )
    return model


def _is_classifier(config: Any) -> bool:
    return any("SequenceClassification" in name for name in config.architectures or ())


def model_labels(model: Any) -> list[str]:
    """Return the model's label names in the order of its logits. Raises `ModelError` for one that no file can hold."""
    names = [str(model.config.id2label[i]) for i in range(model.config.num_labels)]
    for name in names:
        if re.search("[\ud800-\udfff]", name):
            raise ModelError(f"config.json: label {name!r} holds half of a surrogate pair. Correct its id2label")
    return names


def has_named_labels(config: Any) -> bool:
    """Whether the model says what its labels are called, rather than LABEL_0, LABEL_1, ..."""
    return any(str(label) != f"LABEL_{i}" for i, label in config.id2label.items())


def save_model(model: Any, tokenizer: Any | None, folder: Path) -> None:
    """Write a normal Hugging Face folder: safetensors weights, configuration, and the tokenizer, if given.

    Of a label scorer it is its language model's folder, with ``verbaliser.json``. Adapter layers that cannot be
    merged into the weights are in the weights file too, and ``adapter.json`` says where they belong.
    """
    language_model_of(model).save_pretrained(folder)
    write_adapter_layers(language_model_of(model), folder)
    write_verbaliser(model, folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)


def is_plain_folder(folder: Path) -> bool:
    """Whether transformers alone makes the model that is in `folder`; not so with what `save_model` puts beside it."""
    return read_adapter_layers(folder) is None and read_verbaliser(folder) is None


def save_module(module: Any, folder: Path) -> None:
    """Write the weights of any module as one safetensors file."""
    from safetensors.torch import save_file

    weights = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def load_weights(model: Any, folder: Path) -> None:
    """Fill `model` with the safetensors weights of `folder`; every tensor must be there, shared ones once."""
    from safetensors.torch import load_file

    model = language_model_of(model)
    weights: dict[str, Any] = {}
    for file in sorted(folder.glob("*.safetensors")):
        weights.update(load_file(file))
    try:
        lost = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:  # tensors of other shapes
        raise ModelError(f"{folder} does not hold the weights of this model: {error}") from error
    own = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    filled = {own[name].data_ptr() for name in weights if name in own}
    missing = [name for name in lost.missing_keys if own[name].data_ptr() not in filled]
    if missing or lost.unexpected_keys:
        raise ModelError(
            f"{folder} does not hold the weights of this model (missing: {', '.join(missing[:4]) or 'none'}; "
            f"unknown: {', '.join(lost.unexpected_keys[:4]) or 'none'}). Were run folder or recipe changed?"
        )


def weights_fingerprint(model: Any) -> str:
    """Return a hash (BLAKE2b) of all parameters and buffers, by name: the identity of a teacher."""
    digest = hashlib.blake2b(digest_size=32)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(_bytes_of(tensor))
    return digest.hexdigest()


def frozen_fingerprint(model: Any) -> str:
    """Return a hash (BLAKE2b) of the parameters that training must not change."""
    digest = hashlib.blake2b(digest_size=32)
    for name, parameter in sorted(model.named_parameters()):
        if not parameter.requires_grad:
            digest.update(name.encode())
            digest.update(_bytes_of(parameter))
    return digest.hexdigest()


def _bytes_of(tensor: Any) -> Any:
    """Return the tensor's memory as bytes, not a copy of it: of a large matrix it would be gigabytes."""
    import torch

    # As bytes, since NumPy knows no bfloat16.
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()


def _cannot_load(what: str, name: str, error: Exception) -> ModelError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if not Path(name).exists() and (name.startswith((".", "/")) or name.count("/") > 1):
        return ModelError(f"cannot load {what} of '{name}': there is no such folder")
    hint = "Give a folder in Hugging Face format (config.json, model.safetensors, tokenizer) or a hub name"
    if "safetensors" in reason:
        hint = "Only safetensors weights are loaded; convert older weights with transformers' save_pretrained"
    return ModelError(f"cannot load {what} of '{name}': {reason.removesuffix('.')}. {hint}.")
