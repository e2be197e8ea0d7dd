"""A recurrent classifier of texts and text pairs: one bidirectional LSTM over word embeddings.

transformers has none, so the classes are ours: `know_bilstm` makes its Auto classes find them. A saved folder is an
ordinary one (``config.json`` with ``model_type: limbeck_bilstm``, safetensors, a tokenizer) that limbeck reads.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput

from limbeck.errors import ModelError

__all__ = ["BILSTM", "BiLstmConfig", "BiLstmForSequenceClassification", "frame_of", "know_bilstm"]

BILSTM = "limbeck_bilstm"
"""Its ``model_type``."""


class BiLstmConfig(PreTrainedConfig):  # type: ignore[misc]
    """The sizes of the model, and how the rows of its tokenizer are laid out.

    Defaults are Tang et al.'s: word vectors of 300 components, 150 hidden units for each direction, a layer of 200,
    dropout 0.1. Fields without a default are those of tokenizer and rows (`frame_of`).
    """

    model_type = BILSTM
    # Always, so no fields:
    num_hidden_layers = 1
    is_recurrent = True

    vocab_size: int | None = None
    embedding_size: int = 300
    hidden_size: int = 150
    """Units of each direction."""
    intermediate_size: int = 200
    """Width of the layer between the LSTM and the outputs."""
    dropout: float | int = 0.1
    """Before the outputs, in training."""
    initializer_range: float = 0.1
    """Standard deviation of new word embeddings."""
    texts: int | None = None
    """How many texts a row has: 1, or 2 for pairs."""
    framing_ids: list[int] | None = None
    """Tokens that the tokenizer puts around texts; they are not read."""
    separator_id: int | None = None
    """The token that ends the first text of a pair."""


class BiLstmForSequenceClassification(PreTrainedModel):  # type: ignore[misc]
    """``forward(...).logits = W relu(V h)`` of the last states h of both directions, ``[B, C]``.

    For a pair, one LSTM reads both texts, and h is ``[h1; h2; |h1 - h2|; h1 * h2]``. Only the words of a text are
    read: neither padding, on whichever side, nor the tokens that the tokenizer puts around texts. A text without words
    has the states 0.

    Reference: Tang et al. 2019, "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks",
    arXiv:1903.12136, section 3.1.

    Args:
        config: all fields filled in.

    Raises:
        ModelError: a field is missing or impossible.
    """

    config_class = BiLstmConfig
    base_model_prefix = "encoder"

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__(config)
        _require_whole(config)
        assert config.texts is not None
        assert config.vocab_size is not None
        self.encoder = _Encoder(config.vocab_size, config.embedding_size, config.hidden_size)
        of_rows = 2 * config.hidden_size * (1 if config.texts == 1 else 4)
        self.dense = nn.Linear(of_rows, config.intermediate_size)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.intermediate_size, config.num_labels)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the table of word embeddings."""
        return self.encoder.embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the table of word embeddings."""
        self.encoder.embeddings = value

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> SequenceClassifierOutput:
        """Classify texts, or pairs of texts, that may be padded on either side."""
        read_BT = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        words_BT = read_BT.bool()
        for token in self.config.framing_ids:
            words_BT = words_BT & (input_ids != token)
        if self.config.texts == 1:
            states = self.encoder(input_ids, words_BT[None])[0]
        else:
            ends_BT = read_BT.bool() & (input_ids == self.config.separator_id)
            second_BT = ends_BT.cumsum(dim=1) > 0
            first, second = self.encoder(input_ids, torch.stack([words_BT & ~second_BT, words_BT & second_BT]))
            states = torch.cat([first, second, (first - second).abs(), first * second], dim=-1)
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(self.dense(states).relu())))

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            init.zeros_(module.bias)
        else:
            super()._init_weights(module)


class _Encoder(nn.Module):
    """Word embeddings and the last state of an LSTM in each direction."""

    def __init__(self, words: int, width: int, hidden: int) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(words, width)
        self.forwards = nn.LSTM(width, hidden, batch_first=True)
        self.backwards = nn.LSTM(width, hidden, batch_first=True)

    def forward(self, ids_BT: Tensor, words_SBT: Tensor) -> Tensor:
        """Return the last states ``[S, B, 2 D]`` of S selections of each row's words.

        The two directions run on their own, each with the words at the start of its rows, so that what follows them
        cannot enter their last state. One packed bidirectional pass gives the same; its shapes depend on the lengths,
        and a memory plan could not be made without the values.
        """
        count, rows, tokens = words_SBT.shape
        words_NT = words_SBT.flatten(0, 1)
        length_N1 = words_NT.sum(dim=1, keepdim=True)
        embedded_NTE = self.embeddings(ids_BT).repeat(count, 1, 1)
        places_NT = (~words_NT).to(torch.uint8).argsort(dim=1, stable=True)  # words first, in their order
        backwards_NT = (length_N1 - 1 - torch.arange(tokens, device=ids_BT.device)).clamp(min=0)
        in_order_NTE = _picked(embedded_NTE, places_NT)
        states = [
            _picked(lstm(inputs_NTE)[0], (length_N1 - 1).clamp(min=0)).squeeze(1)
            for lstm, inputs_NTE in (
                (self.forwards, in_order_NTE),
                (self.backwards, _picked(in_order_NTE, backwards_NT)),
            )
        ]
        read: Tensor = (torch.cat(states, dim=-1) * (length_N1 > 0)).view(count, rows, -1)
        return read


def _picked(vectors_NTD: Tensor, places_NK: Tensor) -> Tensor:
    """Return the vectors ``[N, K, D]`` at these places of each row."""
    return vectors_NTD.gather(1, places_NK[..., None].expand(-1, -1, vectors_NTD.shape[-1]))


def frame_of(tokenizer: Any, *, pairs: bool) -> dict[str, Any]:
    """Return the fields of a configuration that tokenizer and rows determine.

    Args:
        tokenizer: the student's.
        pairs: whether a row is two texts.

    Raises:
        ModelError: rows are pairs, and the tokenizer puts no token between two texts.
    """
    own = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
    framing = sorted(set(tokenizer("", "" if pairs else None)["input_ids"]))
    if pairs and own not in framing:
        raise ModelError(
            f"the tokenizer of {tokenizer.name_or_path} puts no separator between the two texts of a pair, so "
            f"{BILSTM} cannot tell them apart. Use a teacher with another tokenizer, or a student by name"
        )
    words = max(tokenizer.get_vocab().values()) + 1
    return {"vocab_size": words, "texts": 2 if pairs else 1, "framing_ids": framing, "separator_id": own}


@functools.cache
def know_bilstm() -> None:
    """Make transformers' Auto classes find the model by its ``model_type``."""
    AutoConfig.register(BILSTM, BiLstmConfig)
    AutoModelForSequenceClassification.register(BiLstmConfig, BiLstmForSequenceClassification)


def _require_whole(config: BiLstmConfig) -> None:
    lacking = [name for name in ("vocab_size", "framing_ids") if getattr(config, name) is None]
    if config.texts not in (1, 2):
        lacking.append("texts (1 or 2)")
    if config.texts == 2 and config.separator_id is None:
        lacking.append("separator_id")
    sizes = [config.embedding_size, config.hidden_size, config.intermediate_size]
    if lacking or min(sizes) < 1:
        wrong = ", ".join(lacking) or "embedding_size, hidden_size and intermediate_size of at least 1"
        raise ModelError(f"the configuration of {BILSTM} needs {wrong}")
