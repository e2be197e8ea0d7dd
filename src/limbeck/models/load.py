"""Loading classifiers and tokenizers: safetensors only, no remote code, clear errors."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from limbeck.errors import ModelError
from limbeck.formatting import printable
from limbeck.models.adapter_layers import (
    insert_adapter_layers,
    read_adapter_layers,
    require_adapter_weights,
    write_adapter_layers,
)
from limbeck.models.checked_folder import bounded, model_folder, model_weights, reading
from limbeck.models.hub import is_hub_name
from limbeck.models.label_scorer import (
    LabelScorer,
    Verbaliser,
    language_model_of,
    read_verbaliser,
    write_verbaliser,
)
from limbeck.models.pooled_classifier import PooledClassifier, call_pooled, pooling_named
from limbeck.models.pooling import Pooling, pooling_of
from limbeck.models.retrieval_memory import remembers

__all__ = [
    "Head",
    "classifier_class",
    "config_labels",
    "frozen_fingerprint",
    "has_named_labels",
    "head_in",
    "hub_name",
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
    "reader_of",
    "save_model",
    "save_module",
    "weights_fingerprint",
]

Head = Literal["rows", "tokens"]
"""What a classifier labels: whole rows, or each token."""

_HEADS: dict[Head, str] = {"rows": "SequenceClassification", "tokens": "TokenClassification"}
"""The names of these classes in transformers."""

_STUDENT_FILE = "task.json"
"""File in the folders of students that limbeck saved."""


def hub_name(model: str | None) -> str | None:
    """Return a model's name on the Hugging Face hub; ``None`` for a local folder."""
    return model if model and is_hub_name(model) and not os.path.exists(model) else None


def load_tokenizer(name: str, *, trust_remote_code: bool = False) -> Any:
    """Load the tokenizer of a model folder or hub name.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    from transformers import AutoTokenizer

    from limbeck.models.bilstm import know_bilstm

    folder = model_folder(name, trust_remote_code=trust_remote_code)
    know_bilstm()  # transformers looks at the kind of model
    with reading("load the tokenizer of", name):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
        tokenizer("a")  # some damage appears only with the first text
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise ModelError(
            f"the tokenizer of '{name}' knows no words: {folder} lacks its vocabulary (tokenizer.json, vocab.txt or a "
            "sentencepiece model). Copy or download it again"
        )
    tokenizer.name_or_path = name
    return tokenizer


def load_config(name: str, *, trust_remote_code: bool = False) -> Any:
    """Load the configuration of a model folder or hub name.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    return _config(model_folder(name, trust_remote_code=trust_remote_code), name, trust_remote_code)


def _config(folder: Path, name: str, trust_remote_code: bool) -> Any:
    from transformers import AutoConfig

    from limbeck.models.bilstm import know_bilstm

    know_bilstm()
    with reading("load the configuration of", name):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        int(config.num_labels)  # damaged label names appear here
    config.name_or_path = name
    return config


def classifier_class(head: Head) -> Any:
    """Return transformers' class of classifiers of rows, or of tokens."""
    import transformers

    return getattr(transformers, f"AutoModelFor{_HEADS[head]}")


def head_in(name: str) -> Head:
    """Return what the classifier of a folder or hub name labels: tokens, or else rows. Raises `ModelError`."""
    return "tokens" if _is_classifier(load_config(name), "tokens") else "rows"


def load_classifier(
    name: str,
    *,
    labels: Sequence[str] | None = None,
    head: Head = "rows",
    pooling: Pooling | None = None,
    trust_remote_code: bool = False,
) -> Any:
    """Load a classifier (or a regression model, which has the same head) in float32 from a folder or hub name.

    Args:
        name: a folder in Hugging Face format, or a hub name.
        labels: give the model a classifier for these labels. If the folder already has a classifier for
            the same number of labels, it is kept; a pretrained encoder gets a new one.
            ``None``: the folder must hold a fine-tuned classifier, used as it is.
        head: for rows or for tokens; a model with the other head counts as an encoder without one.
        pooling: how a new head for rows reads the states of the tokens; default: as the encoder was trained
            (`limbeck.models.pooling.pooling_of`).
        trust_remote_code: run Python code that comes with the model; off unless the user asks.

    Raises:
        ModelError: not found, not safetensors, damaged, not a classifier although one is needed, or a classifier
            with another number of labels or another pooling.
    """
    folder = model_folder(name, trust_remote_code=trust_remote_code)
    if labels is None and head == "rows" and (verbaliser := read_verbaliser(folder)) is not None:
        return _label_scorer(folder, name, verbaliser, trust_remote_code)
    config = _config(folder, name, trust_remote_code)
    trained = _is_classifier(config, head)
    if labels is not None:
        if trained:
            _require_fitting(config, labels, pooling)
        else:
            call_pooled(config, (pooling or pooling_of(folder, config)) if head == "rows" else "pooler")
        _name_labels(config, labels)
        if not trained and pooling_named(config) is not None:
            return _with_pooled_head(name, config, trust_remote_code)
    other_head = labels is not None and not trained  # which may have weights of the same names
    model, missing = _load(
        _class_of(config, head), name, config, trust_remote_code, as_it_is=labels is None, other_head=other_head
    )
    if labels is None and any("classifier" in key or "score" in key for key in missing):
        raise ModelError(
            f"{name} holds no trained classifier (missing: {', '.join(missing[:4])}). "
            "Name a fine-tuned model, or add teacher.fine_tune so that it is fine-tuned on your labelled rows first."
        )
    # A new head may come with a new pooler.
    body = [key for key in missing if key.startswith(f"{model.base_model_prefix}.") and "pooler" not in key]
    if lost := missing if labels is None else body:
        raise ModelError(f"{name} lacks trained weights (missing: {', '.join(lost[:4])}). Copy or download it again")
    model.head_is_new = bool(missing)
    return model


def _label_scorer(folder: Path, name: str, verbaliser: Verbaliser, trust_remote_code: bool) -> LabelScorer:
    language_model = load_language_model(name, trust_remote_code=trust_remote_code)
    known = len(language_model.get_input_embeddings().weight)
    if (highest := max(map(max, verbaliser.label_ids))) >= known:
        raise ModelError(
            f"{folder}: verbaliser.json has the token {highest}, but the model knows {known} tokens. Copy the "
            "student again"
        )
    return LabelScorer(language_model, verbaliser)


def _require_fitting(config: Any, labels: Sequence[str], pooling: Pooling | None) -> None:
    """Refuse to change a trained classifier."""
    if config.num_labels != len(labels):
        raise ModelError(
            f"{config.name_or_path} classifies {config.num_labels} labels, but the task has {len(labels)}. "
            "Use a model for this task, or a pretrained encoder and teacher.fine_tune."
        )
    if pooling not in (None, own := pooling_named(config) or "pooler"):
        raise ModelError(
            f"{config.name_or_path} is a trained classifier with pooling: {own}, not {pooling}. Leave pooling out, or "
            "name the encoder that it was made from"
        )


def _name_labels(config: Any, labels: Sequence[str]) -> None:
    config.num_labels = len(labels)
    config.id2label, config.label2id = dict(enumerate(labels)), {label: i for i, label in enumerate(labels)}


def _class_of(config: Any, head: Head) -> Any:
    return PooledClassifier if head == "rows" and pooling_named(config) is not None else classifier_class(head)


def _with_pooled_head(name: str, config: Any, trust_remote_code: bool) -> Any:
    """Return the encoder of a folder with a new head on its pooled states."""
    from transformers import AutoModel

    model: Any = PooledClassifier(config, _load_whole(AutoModel, name, config, trust_remote_code))
    model.name_or_path, model.head_is_new = name, True
    return model


def new_classifier(
    name: str,
    *,
    labels: Sequence[str],
    head: Head = "rows",
    pooling: Pooling | None = None,
    trust_remote_code: bool = False,
) -> Any:
    """Return a classifier of the same shape as the one of a folder or hub name, with new weights.

    Args:
        name: a folder in Hugging Face format, or a hub name.
        labels: names of its outputs.
        head: for rows or for tokens.
        pooling: as in `load_classifier`.
        trust_remote_code: run Python code that comes with the model.

    Raises:
        ModelError: the configuration cannot be read, or does not make a classifier.
    """
    import torch

    folder = model_folder(name, trust_remote_code=trust_remote_code)
    config = _config(folder, name, trust_remote_code)
    if not _is_classifier(config, head):
        call_pooled(config, (pooling or pooling_of(folder, config)) if head == "rows" else "pooler")
    config.num_labels = len(labels)
    with reading("load a classifier of", name), bounded(None):
        return _class_of(config, head).from_config(config, dtype=torch.float32, trust_remote_code=trust_remote_code)


def new_encoder(name: str, *, trust_remote_code: bool = False) -> Any:
    """Return an encoder of the same shape as the one of a folder or hub name, on the default device, with new weights.

    Raises:
        ModelError: the configuration cannot be read, or does not make an encoder.
    """
    from transformers import AutoModel

    config = load_config(name, trust_remote_code=trust_remote_code)
    with reading("load an encoder of", name), bounded(None):
        return AutoModel.from_config(config, trust_remote_code=trust_remote_code)


def load_language_model(name: str, *, bf16: bool = False, trust_remote_code: bool = False) -> Any:
    """Load a pretrained generative model, causal or sequence-to-sequence, from a folder or hub name.

    Its weights are float32, or bfloat16 with `bf16`.

    Raises:
        ModelError: not found, not safetensors, damaged, or no trained weights of a language model in it.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = load_config(name, trust_remote_code=trust_remote_code)
    auto_class = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    return _load_whole(auto_class, name, config, trust_remote_code, bf16=bf16, as_it_is=True)


def load_encoder(name: str, *, trust_remote_code: bool = False) -> Any:
    """Load a pretrained encoder without any head, in float32, from a folder or hub name.

    Raises:
        ModelError: not found, not safetensors, damaged, or no weights of an encoder in it.
    """
    from transformers import AutoModel

    config = load_config(name, trust_remote_code=trust_remote_code)
    model = _load_whole(AutoModel, name, config, trust_remote_code)
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # an extra head on the first position; often untrained, never used here
    return model


def load_masked_lm(name: str, *, new_head: bool = False, trust_remote_code: bool = False) -> Any:
    """Load a pretrained encoder with its masked-language head, in float32, from a folder or hub name.

    Args:
        name: the folder or hub name.
        new_head: give an encoder without a trained head a new one, with random weights; ``head_is_new`` tells.
        trust_remote_code: run Python code that comes with the model.

    Raises:
        ModelError: not found, not safetensors, damaged, or the folder has no trained masked-language head.
    """
    from transformers import AutoModelForMaskedLM

    config = load_config(name, trust_remote_code=trust_remote_code)
    if not new_head:
        return _load_whole(AutoModelForMaskedLM, name, config, trust_remote_code, as_it_is=True)
    model, missing = _load(AutoModelForMaskedLM, name, config, trust_remote_code, as_it_is=False)
    prefix = f"{model.base_model_prefix}."
    _require_no_lack(AutoModelForMaskedLM, name, [key for key in missing if key.startswith(prefix)])
    model.head_is_new = bool(missing)
    return model


def _load_whole(
    auto_class: Any, name: str, config: Any, trust_remote_code: bool, *, bf16: bool = False, as_it_is: bool = False
) -> Any:
    model, missing = _load(auto_class, name, config, trust_remote_code, bf16=bf16, as_it_is=as_it_is)
    _require_no_lack(auto_class, name, missing)
    return model


def _require_no_lack(auto_class: Any, name: str, missing: Sequence[str]) -> None:
    """Refuse a model whose files lack weights other than those of a pooler, which are often untrained anyway."""
    if missing := [key for key in missing if "pooler" not in key]:
        raise ModelError(
            f"{name} lacks trained weights for {auto_class.__name__} (missing: {', '.join(missing[:4])}). "
            "Name a pretrained model of this kind"
        )


def _load(
    auto_class: Any,
    name: str,
    config: Any,
    trust_remote_code: bool,
    *,
    as_it_is: bool,
    bf16: bool = False,
    other_head: bool = False,
) -> tuple[Any, list[str]]:
    """Return a model with its weights in evaluation mode, and the names of weights that its files lack.

    Weights of another shape count as missing if the files may hold another head; otherwise they are refused.
    A student of ours that is used as it is also has no more weights than its model.
    """
    import torch
    from transformers import GenerationConfig

    weights = model_weights(name, trust_remote_code=trust_remote_code)
    layers = read_adapter_layers(weights.folder)
    with reading("load the model of", name), bounded(weights):
        if layers is not None:
            prefix = "encoder." if auto_class is PooledClassifier else ""  # left out in its files
            require_adapter_weights(layers, {prefix + key: shape for key, shape in weights.shapes.items()})
            model = auto_class.from_config(config, dtype=torch.float32, trust_remote_code=trust_remote_code)
            load_weights(insert_adapter_layers(model, layers), weights.folder)
            if (weights.folder / "generation_config.json").exists() and hasattr(model, "generation_config"):
                model.generation_config = GenerationConfig.from_pretrained(weights.folder)
            return (model.to(torch.bfloat16) if bf16 else model).eval(), []
        model, info = auto_class.from_pretrained(
            weights.folder,
            config=config,
            use_safetensors=True,
            dtype=torch.bfloat16 if bf16 else torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=other_head,
            trust_remote_code=trust_remote_code,
        )
    if as_it_is and info["unexpected_keys"] and (weights.folder / _STUDENT_FILE).exists():
        unknown = ", ".join(sorted(info["unexpected_keys"])[:4])
        raise ModelError(
            f"{weights.folder}: configuration and weights of this student do not belong together (unknown: {unknown})."
            " Copy the folder again"
        )
    model.name_or_path = model.config.name_or_path = name
    return model, sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])})


def _is_classifier(config: Any, head: Head) -> bool:
    """Return whether the folder of a configuration holds a classifier of rows, or of tokens."""
    if head == "rows" and pooling_named(config) is not None:
        return True
    return any(_HEADS[head] in name for name in config.architectures or ())


def config_labels(config: Any) -> list[str]:
    """Return the label names of a configuration in the order of the logits.

    Raises:
        ModelError: a logit without a name, two with one name, or a name that is not text.
    """
    names = dict(config.id2label)
    where = f"id2label in the configuration of '{config.name_or_path}'"
    if set(names) != set(range(len(names))):
        raise ModelError(f"{where} must number the labels from 0 without gaps, but has {sorted(names)[:8]}")
    labels = [names[i] for i in range(len(names))]
    for label in labels:
        if not isinstance(label, str | int | float):
            raise ModelError(f"{where}: a label must be text, not {printable(repr(label))[:80]}")
        if printable(str(label)) != str(label):
            raise ModelError(f"{where}: label {label!r} holds half of a surrogate pair or a control character")
    found = [str(label) for label in labels]
    if twice := [label for label, times in Counter(found).items() if times > 1]:
        raise ModelError(f"{where} calls several labels '{twice[0][:80]}'. Give each its own name")
    return found


def model_labels(model: Any) -> list[str]:
    """Return the model's label names in the order of its logits. Raises `ModelError` as `config_labels`."""
    return config_labels(model.config)


def has_named_labels(config: Any) -> bool:
    """Return whether the model names its labels, rather than LABEL_0, LABEL_1, ..."""
    return any(str(label) != f"LABEL_{i}" for i, label in config.id2label.items())


def save_model(model: Any, tokenizer: Any | None, folder: Path) -> None:
    """Write a normal Hugging Face folder: safetensors weights, configuration, and the tokenizer, if given.

    For a label scorer, it is its language model's folder, with ``verbaliser.json``; for a classifier of pooled states,
    a folder of Sentence Transformers (`limbeck.models.pooled_classifier`). Adapter layers that cannot be
    merged into the weights are in the weights file too, and ``adapter.json`` tells where they belong.
    """
    language_model_of(model).save_pretrained(folder)
    write_adapter_layers(language_model_of(model), folder)
    write_verbaliser(model, folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)


def reader_of(folder: Path) -> Literal["transformers", "sentence-transformers", "limbeck"]:
    """Return the library that reads all of the model in `folder`: not one that knows only part of its files."""
    from limbeck.models.bilstm import BILSTM

    if read_adapter_layers(folder) is not None or read_verbaliser(folder) is not None or remembers(folder):
        return "limbeck"
    config = load_config(str(folder))
    if config.model_type == BILSTM:
        return "limbeck"
    return "transformers" if pooling_named(config) is None else "sentence-transformers"


def save_module(module: Any, folder: Path) -> None:
    """Write the weights of any module as one safetensors file."""
    from safetensors.torch import save_file

    weights = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def load_weights(model: Any, folder: Path) -> None:
    """Fill `model` with the safetensors weights of `folder`; every tensor must be present, shared ones once."""
    from safetensors.torch import load_file

    model = language_model_of(model)
    weights: dict[str, Any] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with reading(f"load {file.name} of", folder):
            weights.update(load_file(file))
    if isinstance(model, PooledClassifier):
        weights = model.weights_in(folder, weights)
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
    """Return the tensor's memory as bytes, not a copy of it: for a large matrix it would be gigabytes."""
    import torch

    # As bytes, since NumPy knows no bfloat16.
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
