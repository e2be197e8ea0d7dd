"""A classifier that reads one pooled state of any encoder: its mean over the tokens of the text, or one token's.

Saved as a folder of Sentence Transformers: the encoder alone at the top (``AutoModel`` loads it), the pooling, and the
head as a dense layer without activation. ``SentenceTransformer(folder).encode(texts)`` then gives the logits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self, get_args

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.checked_folder import reading, tensor_shapes
from limbeck.models.hub import HEAD_WEIGHTS
from limbeck.models.layers import accepted_inputs, depth, is_recurrent, text_config, width
from limbeck.models.pooling import Pooling, StatePooling, pooled

__all__ = [
    "PooledClassifier",
    "call_pooled",
    "pooling_in",
    "pooling_named",
    "shape_in_words",
    "with_pooling",
    "write_length_limit",
]

_KEY = "pooled_classifier"
"""The setting in ``config.json`` that marks such a folder, and names its pooling."""
_ENCODER = "encoder."
_MODES: dict[StatePooling, str] = {"mean": "mean_tokens", "first": "cls_token", "last": "lasttoken"}
_DROPOUT = ("classifier_dropout", "seq_classif_dropout", "hidden_dropout_prob", "dropout", "dropout_rate")
"""Names of the dropout before a head in configurations, most specific first."""
_MODULES = {"": "Transformer", "1_Pooling": "Pooling", str(Path(HEAD_WEIGHTS).parent): "Dense"}
_ADVICE = "Copy or download the model again"


class _Output(NamedTuple):
    logits: Tensor


class PooledClassifier(nn.Module):
    """``forward(...).logits`` are a linear map of one pooled state for each text, ``[B, C]``.

    The encoder's own pooler, which would not be used, is left out.

    Reference: Reimers and Gurevych 2019 (Sentence-BERT), arXiv:1908.10084, section 3, which pools by the mean.

    Args:
        config: an encoder's configuration with the labels, marked by `call_pooled`.
        encoder: a model without a head, of this configuration; default: a new one with random weights.
    """

    base_model_prefix = "encoder"

    def __init__(self, config: Any, encoder: Any = None) -> None:
        super().__init__()
        if encoder is None:
            from transformers import AutoModel

            encoder = AutoModel.from_config(config, dtype=torch.float32)
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None
        self.config = encoder.config
        self.how: StatePooling = getattr(self.config, _KEY)
        self.encoder = encoder
        self.dropout = nn.Dropout(_dropout(self.config))
        self.head = nn.Linear(width(self), int(self.config.num_labels), device=next(encoder.parameters()).device)
        nn.init.normal_(self.head.weight, std=float(getattr(text_config(self), "initializer_range", 0.02)))
        nn.init.zeros_(self.head.bias)
        self._reads = accepted_inputs(type(encoder).forward)
        self.train(encoder.training)

    @classmethod
    def from_config(cls, config: Any, *, dtype: Any = torch.float32, trust_remote_code: bool = False) -> Self:
        """Return such a classifier with random weights, as the classes of transformers do."""
        from transformers import AutoModel

        return cls(config, AutoModel.from_config(config, dtype=dtype, trust_remote_code=trust_remote_code))

    @classmethod
    def from_pretrained(cls, folder: Path, *, config: Any, **options: Any) -> tuple[Self, dict[str, Any]]:
        """Return the classifier of a folder and what its files lack, as the classes of transformers do.

        Raises:
            ModelError: the folder has no head, or the head of another model.
        """
        from transformers import AutoModel

        encoder, info = AutoModel.from_pretrained(folder, config=config, **options)
        model = cls(encoder.config, encoder)
        own = {name.removeprefix(_ENCODER) for name in model.state_dict()}
        info["missing_keys"] = [_ENCODER + name for name in info["missing_keys"] if name in own]
        model.head.load_state_dict(_head_in(folder, model.head))
        return model, info

    @property
    def base_model(self) -> Any:
        """The encoder."""
        return self.encoder

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.head.weight.device

    def get_input_embeddings(self) -> nn.Module:
        """Return the encoder's table of word embeddings."""
        table: nn.Module = self.encoder.get_input_embeddings()
        return table

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> _Output:
        """Classify texts that may be padded on either side."""
        mask_BT = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": mask_BT}
        if token_type_ids is not None and "token_type_ids" in self._reads:
            inputs["token_type_ids"] = token_type_ids
        if "use_cache" in self._reads:
            inputs["use_cache"] = False
        states_BTD = self.encoder(**inputs).last_hidden_state
        return _Output(self.head(self.dropout(pooled(states_BTD, mask_BT, self.how))))

    def save_pretrained(self, folder: Path) -> None:
        """Write the folder. With an adapter that is not merged yet, its weights are the trained ones only."""
        state = self.state_dict()
        of_encoder = {name.removeprefix(_ENCODER): x for name, x in state.items() if name.startswith(_ENCODER)}
        self.encoder.save_pretrained(folder, state_dict=of_encoder)
        _write_modules(self, folder)
        _write_head({f"linear.{name}": state[f"head.{name}"] for name in ("weight", "bias")}, folder)

    def weights_in(self, folder: Path, of_encoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the saved weights of a folder, the encoder's already read, by this module's own names.

        Raises:
            ModelError: the folder has no head, or the head of another model.
        """
        of_head = {f"head.{name}": tensor for name, tensor in _head_in(folder, self.head).items()}
        return {_ENCODER + name: tensor for name, tensor in of_encoder.items()} | of_head


def call_pooled(config: Any, how: Pooling) -> Any:
    """Set in a configuration how the states of its classifier are pooled, and return it.

    Raises:
        ModelError: the model has an encoder and a decoder, or a recurrent state, which only its own classifier reads.
    """
    if how == "pooler":
        if hasattr(config, _KEY):
            delattr(config, _KEY)
        return config
    if is_recurrent(config):
        raise ModelError(
            f"pooling: {how} is for models with layers of states; {config.model_type} reads the last state of each "
            "direction. Leave pooling out"
        )
    if config.is_encoder_decoder:
        raise ModelError(
            f"pooling: {how} is for models with one stack of layers; {config.model_type} has an encoder and a "
            "decoder. Use pooling: pooler, which is its own classifier"
        )
    setattr(config, _KEY, how)
    return config


def pooling_named(config: Any) -> StatePooling | None:
    """Return the pooling of the classifier that a configuration describes; ``None`` for any other model.

    Raises:
        ModelError: it names an unknown one.
    """
    found = getattr(config, _KEY, None)
    if found is not None and found not in get_args(StatePooling):
        known = ", ".join(get_args(StatePooling))
        raise ModelError(f"config.json of '{config.name_or_path}': {_KEY} must be one of {known}. {_ADVICE}")
    return found


def pooling_in(model: Any) -> Pooling:
    """Return how a classifier reads the states of its tokens."""
    return model.how if isinstance(model, PooledClassifier) else "pooler"


def shape_in_words(model: Any) -> str:
    """Return the depth and width of a model, and which state its head reads if it is a pooled one."""
    read = f" ({model.how} state)" if isinstance(model, PooledClassifier) else ""
    return f"{depth(model)} x {width(model)}{read}"


def with_pooling(model: Any, how: Pooling) -> Any:
    """Return a classifier of the same encoder that reads its states as told, with a new head.

    The model itself, with its head, if it does so already; otherwise its encoder is moved into the new classifier.
    A pooler that the encoder lacks is new too.

    Raises:
        ModelError: as `call_pooled`.
    """
    if pooling_in(model) == how:
        return model
    encoder, config = model.base_model, call_pooled(model.config, how)
    made: Any = PooledClassifier(config, encoder) if how != "pooler" else _plain(config, encoder)
    made.head_is_new = True
    return made.train(model.training)


def _plain(config: Any, encoder: Any) -> Any:
    """Return transformers' own classifier around the weights of an encoder."""
    from transformers import AutoModelForSequenceClassification

    plain = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    lost = plain.base_model.load_state_dict(encoder.state_dict(), strict=False, assign=True)
    assert not lost.unexpected_keys, lost.unexpected_keys
    assert all("pooler" in name for name in lost.missing_keys), lost.missing_keys
    return plain


def write_length_limit(model: Any, folder: Path, max_length: int) -> None:
    """Write the longest row in tokens where Sentence Transformers looks for it; nothing for other classifiers."""
    if not isinstance(model, PooledClassifier):
        return
    values: dict[str, Any] = {"max_seq_length": max_length, "do_lower_case": False}
    if "add_pooling_layer" in accepted_inputs(type(model.encoder).__init__):
        values["model_args"] = {"add_pooling_layer": False}  # else it warns that the pooler's weights are missing
    _write_json(folder / "sentence_bert_config.json", values)


def _dropout(config: Any) -> float:
    found = [getattr(config, name, None) for name in _DROPOUT]
    return next((float(value) for value in found if isinstance(value, int | float)), 0.0)


def _write_modules(model: PooledClassifier, folder: Path) -> None:
    """Write how the parts belong together; in the format before version 6, which all versions read."""
    kinds = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(_MODULES.items())
    ]
    _write_json(folder / "modules.json", kinds)
    modes = {f"pooling_mode_{mode}": how == model.how for how, mode in _MODES.items()}
    size = model.head.in_features
    _write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": size, **modes})
    dense: dict[str, Any] = {"in_features": size, "out_features": model.head.out_features, "bias": True}
    dense["activation_function"] = "torch.nn.modules.linear.Identity"
    _write_json((folder / HEAD_WEIGHTS).with_name("config.json"), dense)


def _write_head(weights: Mapping[str, Tensor], folder: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: x.contiguous() for name, x in weights.items()}, folder / HEAD_WEIGHTS, metadata={"format": "pt"})


def _head_in(folder: Path, head: nn.Linear) -> dict[str, Tensor]:
    """Return the saved weights of a head of this shape."""
    from safetensors.torch import load_file

    file = folder / HEAD_WEIGHTS
    wanted = {f"linear.{name}": tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    if (found := tensor_shapes(file)) != wanted:
        raise ModelError(f"{file} is not this model's head: it has {found}, not {wanted}. Copy the model again")
    with reading("load the head of", folder):
        return {name.removeprefix("linear."): tensor for name, tensor in load_file(file).items()}


def _write_json(path: Path, values: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
