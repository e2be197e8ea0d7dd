"""Students built from their teacher's layers, or from a configuration."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from limbeck.errors import ConfigError, ModelError, near_misses
from limbeck.models.checked_folder import bounded, refuse_counts
from limbeck.models.layers import depth, layer_list
from limbeck.models.load import Head, classifier_class
from limbeck.models.pooled_classifier import PooledClassifier, call_pooled
from limbeck.models.pooling import Pooling
from limbeck.students.layer_check import compare_layers, require_like_layers
from limbeck.students.layer_settings import cut_settings

__all__ = ["copies_note", "language_model_from_config", "student_from_config", "student_from_layers"]

_MOST_LAYERS, _LARGEST_SIZE = 2_000, 20_000_000


def student_from_layers(teacher: Any, layers: Sequence[int]) -> Any:
    """Return a model of the teacher's class with copies of the teacher's `layers` and of everything else.

    Embeddings, pooler and classifier are copied as well. Layer j of the student is bit-for-bit layer
    ``layers[j - 1]`` of the teacher (both counted from 1), and does the same there: settings of single layers are
    carried over (`limbeck.students.layer_settings`), and the outputs of copies and originals are compared
    (`limbeck.students.layer_check`). If they cannot be, ``student.copies_unchecked`` says why.

    Reference: Sanh et al. 2019 (DistilBERT), arXiv:1910.01108, section 3; Sun et al. 2019 (PKD).

    Raises:
        ModelError: the teacher's layers cannot be told apart (see `layer_list`), or one of them would compute
            something else at its new position.
    """
    student = _empty_student(teacher, layers)
    require_like_layers(teacher, student, layers)
    student.load_state_dict(_copied_weights(teacher, student, layers), strict=True)
    assert depth(student) == len(layers)
    student = student.to(torch.float32)
    student.copies_unchecked = None if student.device.type == "meta" else compare_layers(teacher, student, layers)
    return student


def copies_note(student: Any) -> str | None:
    """Return a note on a student's copied layers; ``None`` if they were compared, or there are none."""
    why = getattr(student, "copies_unchecked", None)
    return None if why is None else f"The outputs of copied layers were not compared with the teacher's: {why}."


def _empty_student(teacher: Any, layers: Sequence[int]) -> Any:
    """Return a model of the teacher's class with random weights, as loading its configuration would build it."""
    config = copy.deepcopy(teacher.config)
    cut_settings(config.get_text_config(), layers)
    try:
        config = type(config).from_dict(config.to_dict(), attn_implementation=config._attn_implementation)
        return type(teacher)(config)
    except Exception as error:  # transformers rejects values with many kinds of error
        raise ModelError(
            f"a student with copies of layers {list(layers)} cannot be built from {type(teacher).__name__}: {error}. "
            "Choose other layers (layers: first keeps all in their positions), or name a student (student.model)"
        ) from error


def _copied_weights(teacher: Any, student: Any, layers: Sequence[int]) -> dict[str, torch.Tensor]:
    """Return the student's state, each tensor taken from its place in the teacher."""
    prefix = layer_list(teacher)[0] + "."
    source = teacher.state_dict()
    numbers = {name: int(name[len(prefix) :].split(".", 1)[0]) for name in source if name.startswith(prefix)}
    copied: dict[str, torch.Tensor] = {}
    for name, tensor in source.items():
        if name not in numbers:
            copied[name] = tensor
        elif (layer := numbers[name] + 1) in layers:
            rest = name[len(prefix) :].split(".", 1)[1]
            copied[f"{prefix}{layers.index(layer)}.{rest}"] = tensor
    state = student.state_dict()
    odd = [
        n
        for n in copied.keys() | state.keys()
        if n not in copied or n not in state or copied[n].shape != state[n].shape
    ]
    if odd:
        raise ModelError(
            f"layers {list(layers)} of {type(teacher).__name__} cannot be copied: a model of these layers has no such "
            f"weights ({', '.join(sorted(odd)[:4])}). Choose other layers, or name a student (student.model)"
        )
    return copied


def student_from_config(
    config: Mapping[str, Any],
    labels: Sequence[str],
    *,
    head: Head = "rows",
    pooling: Pooling | None = None,
    tokenizer: Any = None,
    pairs: bool = False,
) -> Any:
    """Return a classifier with random weights from a Hugging Face configuration.

    Args:
        config: ``model_type`` and its fields.
        labels: the task's labels.
        head: what the labels apply to.
        pooling: how a head for rows reads the states of the tokens; default: as transformers' class does.
        tokenizer: the student's. Its padding id is for a configuration without one, as some models count positions by
            it; an LSTM's configuration takes its vocabulary and how it lays out rows.
        pairs: whether a row is two texts.

    Raises:
        ConfigError: an unknown ``model_type``, or values that do not give a model.
    """
    from transformers import AutoConfig

    from limbeck.models.bilstm import BiLstmConfig, frame_of, know_bilstm

    know_bilstm()
    fields = dict(config)
    model_type = fields.pop("model_type", None)
    if model_type is None:
        raise ConfigError("student.config needs model_type (for example: bert)")
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    try:
        default = AutoConfig.for_model(model_type)
        _require_known_fields(default, fields)
        if isinstance(default, BiLstmConfig):
            _require_rows(default, head)
            fields = frame_of(tokenizer, pairs=pairs) | fields
        if tokenizer is not None and tokenizer.pad_token_id is not None and hasattr(default, "pad_token_id"):
            fields.setdefault("pad_token_id", tokenizer.pad_token_id)
        refuse_counts(fields, "student.config")
        made = AutoConfig.for_model(model_type, **fields, num_labels=len(labels), **names)
        call_pooled(made, pooling or "pooler")
        with bounded(None):
            auto_class = classifier_class(head) if pooling in (None, "pooler") else PooledClassifier
            model = auto_class.from_config(made)
    except ConfigError:
        raise
    except Exception as error:  # transformers and torch reject values with many kinds of error
        raise ConfigError(f"student.config does not give a classifier: {error}") from error
    model.head_is_new = model.body_is_new = True
    return model


def _require_rows(config: Any, head: Head) -> None:
    if head != "rows":
        raise ConfigError(f"student.config: {config.model_type} labels whole texts, not words. Use another model_type")


def language_model_from_config(config: Mapping[str, Any], *, tokenizer: Any, rows: int, masked: bool = False) -> Any:
    """Return a language model with random weights from a Hugging Face configuration.

    Args:
        config: ``model_type`` and its fields; vocabulary fields that are missing are taken from the tokenizer.
        tokenizer: tokenizer of the student.
        rows: size of the vocabulary, padding included.
        masked: a masked language model; otherwise a generative one.

    Raises:
        ConfigError: an unknown ``model_type``, or values that do not give a language model.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

    fields = dict(config)
    model_type = fields.pop("model_type", None)
    if model_type is None:
        raise ConfigError(f"student.config needs model_type (for example: {'bert' if masked else 'llama'})")
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    of_tokenizer = {"vocab_size": rows} | {name: getattr(tokenizer, name) for name in names}
    try:
        default = AutoConfig.for_model(model_type)
        _require_known_fields(default, fields)
        refuse_counts(fields, "student.config")
        made = AutoConfig.for_model(model_type, **{**of_tokenizer, **fields})
        generative = AutoModelForSeq2SeqLM if made.is_encoder_decoder else AutoModelForCausalLM
        with bounded(None):
            return (AutoModelForMaskedLM if masked else generative).from_config(made)
    except ConfigError:
        raise
    except Exception as error:  # transformers and torch reject values with many kinds of error
        kind = "masked language model" if masked else "language model"
        raise ConfigError(f"student.config does not give a {kind}: {error}") from error


def _require_known_fields(default: Any, fields: Mapping[str, Any]) -> None:
    """Refuse misspelt fields, which transformers would keep silently, and impossible sizes."""
    for name, value in fields.items():
        if isinstance(value, int) and value > (_MOST_LAYERS if "layer" in name else _LARGEST_SIZE):
            raise ConfigError(f"student.config: {name}: {value} is larger than in any model")
        if name in ("num_hidden_layers", default.attribute_map.get("num_hidden_layers")) and value == 0:
            raise ConfigError(f"student.config: {name}: 0 is no model: give it one layer or more")
    known = {*default.to_dict(), *default.attribute_map}
    if unknown := sorted(set(fields) - known):
        hints = "; ".join(f"'{name}': {near_misses(name, known)}" for name in unknown)
        raise ConfigError(f"student.config: {default.model_type} has no such field: {hints}")
