"""Students made from their teacher's layers, or from a configuration."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from limbeck.errors import ConfigError, near_misses
from limbeck.models.layers import depth, layer_list

__all__ = ["language_model_from_config", "student_from_config", "student_from_layers"]


def student_from_layers(teacher: Any, layers: Sequence[int]) -> Any:
    """Return a model of the teacher's class with copies of the teacher's `layers` and of all else.

    Embeddings, pooler and classifier are copied as well. Layer j of the student is bit-for-bit layer
    ``layers[j - 1]`` of the teacher (both counted from 1).

    Reference: Sanh et al. 2019 (DistilBERT), arXiv:1910.01108, section 3; Sun et al. 2019 (PKD).

    Raises:
        ModelError: the teacher's layers cannot be told apart (see `layer_list`).
    """
    prefix = layer_list(teacher)[0] + "."
    config = copy.deepcopy(teacher.config)
    config.num_hidden_layers = len(layers)
    if isinstance(per_layer := getattr(config, "layer_types", None), list):
        config.layer_types = [per_layer[layer - 1] for layer in layers]
    student = type(teacher)(config)
    source = teacher.state_dict()
    copied: dict[str, torch.Tensor] = {}
    for name in student.state_dict():
        origin = name
        if name.startswith(prefix):
            index, rest = name[len(prefix) :].split(".", 1)
            origin = f"{prefix}{layers[int(index)] - 1}.{rest}"
        copied[name] = source[origin]
    student.load_state_dict(copied, strict=True)
    assert depth(student) == len(layers)
    return student.to(torch.float32)


def student_from_config(config: Mapping[str, Any], labels: Sequence[str]) -> Any:
    """Return a classifier with random weights from a Hugging Face configuration (``model_type`` and its fields).

    Raises:
        ConfigError: an unknown ``model_type``, or values that do not make a model.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    fields = dict(config)
    model_type = fields.pop("model_type", None)
    if model_type is None:
        raise ConfigError("student.config needs model_type (for example: bert)")
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    try:
        _require_known_fields(AutoConfig.for_model(model_type), fields)
        return AutoModelForSequenceClassification.from_config(
            AutoConfig.for_model(model_type, **fields, num_labels=len(labels), **names)
        )
    except ConfigError:
        raise
    except Exception as error:  # transformers and torch refuse values with errors of many kinds
        raise ConfigError(f"student.config does not make a classifier: {error}") from error


def language_model_from_config(config: Mapping[str, Any], *, tokenizer: Any, rows: int) -> Any:
    """Return a language model with random weights from a Hugging Face configuration.

    Args:
        config: ``model_type`` and its fields; what is not said of the vocabulary is taken from the tokenizer.
        tokenizer: whose tokens it reads and writes.
        rows: size of the vocabulary, padding included.

    Raises:
        ConfigError: an unknown ``model_type``, or values that do not make a language model.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    fields = dict(config)
    model_type = fields.pop("model_type", None)
    if model_type is None:
        raise ConfigError("student.config needs model_type (for example: llama)")
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    of_tokenizer = {"vocab_size": rows} | {name: getattr(tokenizer, name) for name in names}
    try:
        default = AutoConfig.for_model(model_type)
        _require_known_fields(default, fields)
        made = AutoConfig.for_model(model_type, **{**of_tokenizer, **fields})
        auto_class = AutoModelForSeq2SeqLM if made.is_encoder_decoder else AutoModelForCausalLM
        return auto_class.from_config(made)
    except ConfigError:
        raise
    except Exception as error:  # transformers and torch refuse values with errors of many kinds
        raise ConfigError(f"student.config does not make a language model: {error}") from error


def _require_known_fields(default: Any, fields: Mapping[str, Any]) -> None:
    """Refuse a misspelt field, which transformers would keep without a word."""
    known = {*default.to_dict(), *default.attribute_map}
    if unknown := sorted(set(fields) - known):
        hints = "; ".join(f"'{name}': {near_misses(name, known)}" for name in unknown)
        raise ConfigError(f"student.config: {default.model_type} has no such field: {hints}")
