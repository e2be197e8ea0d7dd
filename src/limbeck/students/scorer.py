"""Candidate scorers: encoders, which cannot generate, answer by ranking given answers.

Three ways, one interface: ``scorer(**inputs).logits`` are scores ``[B, K]``, ``-inf`` where a record has
fewer candidates. The inputs come from `limbeck.data.candidates`.

Soft prompts are rows of one table, inserted in place of word embeddings. They have position ids too.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.load import load_encoder, load_masked_lm, save_module
from limbeck.models.shared_weights import save_shared_once
from limbeck.types import SoftLayout

__all__ = ["CrossEncoder", "DualEncoder", "MaskedVerbaliser", "Scorer", "ScorerOutput", "make_scorer"]

_HEAD_DROPOUT = 0.1
_COSINE_TEMPERATURE = 0.05
_CANDIDATES_TOGETHER = 32
"""Candidates that a dual encoder reads at a time. Grouping sentences of similar length halves the padding."""
_CRITIC_GRADIENT_SHARE = 0.1
"""Share of the critic's gradient that reaches the encoder."""


class ScorerOutput(NamedTuple):
    """What a scorer returns."""

    logits: Tensor
    """Scores ``[B, K]``."""
    value: Tensor | None
    """A critic's expected reward ``[B]``."""


class Scorer(nn.Module):
    """The base of all scorers: an encoder, soft prompts, and a critic if reinforcement learning needs one.

    Args:
        encoder: a Hugging Face encoder without head (with its masked-LM head for `MaskedVerbaliser`).
        soft: the rows of the soft prompt table; ``None``: no soft prompts.

    The encoder's parameters have the names of a Hugging Face checkpoint with a head, so ``AutoModel`` loads
    the encoder from a saved scorer.
    """

    input_groups: tuple[str, ...] = ()
    """Prefixes of the names of tensors about further sequences, which `forward` takes as ``others``: a dual encoder's
    candidates, and what a critic reads. Behind the prefix they have the names of any sequence's tensors."""

    def __init__(self, encoder: Any, soft: SoftLayout | None) -> None:
        super().__init__()
        self.config = encoder.config
        if getattr(self.config, "is_encoder_decoder", False):
            raise ModelError(f"{type(encoder).__name__} has an encoder and a decoder; a scorer needs only an encoder")
        if _reads_forwards_only(self.config.model_type):
            raise ModelError(
                f"{type(encoder).__name__} reads from left to right, so its first position knows nothing about what "
                "follows; a scorer needs an encoder (XLM-R, BERT, ModernBERT ...)"
            )
        self._prefix = encoder.base_model_prefix
        self.add_module(self._prefix, encoder.base_model)
        self._reads = frozenset(inspect.signature(type(encoder.base_model).forward).parameters)
        if "inputs_embeds" not in self._reads:
            raise ModelError(f"{type(encoder).__name__} takes no embeddings as input, which soft prompts need")
        # Not always as wide as the hidden states: ALBERT and ELECTRA project narrow embeddings.
        width = int(encoder.base_model.get_input_embeddings().weight.shape[1])
        self.soft_prompts = nn.Embedding(soft.rows, width) if soft and soft.rows else None
        self.critic: nn.Module | None = None

    @property
    def encoder(self) -> Any:
        """The encoder without heads."""
        return getattr(self, self._prefix)

    def get_input_embeddings(self) -> nn.Module:
        """Return the table of word embeddings."""
        embeddings: nn.Module = self.encoder.get_input_embeddings()
        return embeddings

    @torch.no_grad()
    def initialise_soft_prompts(self, rows: Mapping[range, Sequence[int]]) -> None:
        """Set vectors to the mean word embedding of a text.

        Args:
            rows: token ids of the text for each range of rows of the table.
        """
        assert self.soft_prompts is not None
        table = self.get_input_embeddings().weight
        for places, ids in rows.items():
            if len(places) and len(ids):
                self.soft_prompts.weight[places.start : places.stop] = table[list(ids)].mean(dim=0)  # type: ignore[index]

    def add_critic(self) -> None:
        """Add a critic of two layers that reads the first position of a sequence without a candidate."""
        width = self.config.hidden_size
        self.critic = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1)).to(self.device)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def save_pretrained(self, folder: Path) -> None:
        """Write configuration and weights, so that ``AutoModel.from_pretrained`` reads the encoder."""
        self.config.save_pretrained(folder)
        save_module(self, folder)

    def prompt_parameters(self) -> list[nn.Parameter]:
        """Return the soft prompts' parameters, which have their own learning rate and no weight decay."""
        return [] if self.soft_prompts is None else list(self.soft_prompts.parameters())

    def encode(
        self, input_ids: Tensor, attention_mask: Tensor, soft_rows: Tensor | None, token_type_ids: Tensor | None
    ) -> Tensor:
        """Return the last hidden states ``[R, T, D]`` of sequences with soft prompts in them."""
        embeddings = self.get_input_embeddings()(input_ids)
        if self.soft_prompts is not None and soft_rows is not None:
            vectors = self.soft_prompts(soft_rows.clamp(min=0)).to(embeddings.dtype)
            embeddings = torch.where((soft_rows >= 0)[..., None], vectors, embeddings)
        inputs = {"inputs_embeds": embeddings, "attention_mask": attention_mask}
        if token_type_ids is not None and "token_type_ids" in self._reads:
            inputs["token_type_ids"] = token_type_ids
        hidden: Tensor = self.encoder(**inputs).last_hidden_state
        return hidden

    def _value(self, state: Mapping[str, Tensor]) -> Tensor | None:
        """Return the critic's value ``[B]``; a share of its gradient reaches the encoder."""
        if self.critic is None or not state:
            return None
        names = ("input_ids", "attention_mask", "soft_rows", "token_type_ids")
        first_BD = self.encode(*map(state.get, names))[:, 0]  # type: ignore[arg-type]
        first_BD = _CRITIC_GRADIENT_SHARE * first_BD + (1 - _CRITIC_GRADIENT_SHARE) * first_BD.detach()
        value: Tensor = self.critic(first_BD).squeeze(-1)
        return value


class CrossEncoder(Scorer):
    """A scorer that reads prompts, input and one candidate together: ``z = w . tanh(W h_<s> + b)``.

    One head for all tasks and languages, so no score is tied to a label's position or name.
    """

    input_groups = ("state_",)

    def __init__(self, encoder: Any, soft: SoftLayout | None) -> None:
        super().__init__(encoder, soft)
        width = self.config.hidden_size
        self.head = nn.Sequential(
            nn.Dropout(_HEAD_DROPOUT), nn.Linear(width, width), nn.Tanh(), nn.Dropout(_HEAD_DROPOUT),
            nn.Linear(width, 1, bias=False),
        )  # fmt: skip
        for module in self.head:
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=getattr(self.config, "initializer_range", 0.02))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        index_BK: Tensor,
        soft_rows: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **others: Tensor,
    ) -> ScorerOutput:
        """Return scores of all candidates; ``index_BK`` is a candidate's sequence, -1 if there is none."""
        first_RD = self.encode(input_ids, attention_mask, soft_rows, token_type_ids)[:, 0]
        scores_R = self.head(first_RD).squeeze(-1)
        scores_BK = scores_R[index_BK.clamp(min=0)].masked_fill(index_BK < 0, float("-inf"))
        return ScorerOutput(scores_BK, self._value(_group(others, "state_")))


class DualEncoder(Scorer):
    """A scorer that reads question and candidates separately: ``z = cos(x, y) / 0.05`` of mean-pooled vectors.

    The mean is over the text and the special tokens around it, not over the prompts, which act through attention
    (as in Su et al. 2023, "One Embedder, Any Task: Instruction-Finetuned Text Embeddings", section 2.1).
    """

    input_groups = ("candidate_", "state_")

    @staticmethod
    def scores(query_BD: Tensor, candidate_RD: Tensor, index_BK: Tensor) -> Tensor:
        """Return scores ``[B, K]`` of vectors of length 1; ``index_BK``: a candidate's row, -1 if there is none."""
        cosine_BK = (query_BD @ candidate_RD.T).gather(1, index_BK.clamp(min=0))
        return (cosine_BK / _COSINE_TEMPERATURE).masked_fill(index_BK < 0, float("-inf"))

    def vectors(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        pool_mask: Tensor,
        soft_rows: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Tensor:
        """Return one vector of length 1 for each sequence, ``[R, D]``."""
        hidden_RTD = self.encode(input_ids, attention_mask, soft_rows, token_type_ids)
        weights_RT = pool_mask.to(hidden_RTD.dtype)
        mean_RD = (hidden_RTD * weights_RT[..., None]).sum(dim=1) / weights_RT.sum(dim=1, keepdim=True)
        return nn.functional.normalize(mean_RD, dim=-1)

    def _vectors_by_length(self, sequences: Mapping[str, Tensor]) -> Tensor:
        """Return `vectors` of sequences in any order, read `_CANDIDATES_TOGETHER` at a time, shortest first."""
        lengths_R = sequences["attention_mask"].sum(dim=1)
        order_R = lengths_R.argsort()
        parts = []
        for places in torch.split(order_R, _CANDIDATES_TOGETHER):
            longest = int(lengths_R[places[-1]])  # waits for an accelerator, once for each part
            parts.append(self.vectors(**{name: tensor[places, :longest] for name, tensor in sequences.items()}))
        return torch.cat(parts)[order_R.argsort()]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        pool_mask: Tensor,
        index_BK: Tensor,
        soft_rows: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **others: Tensor,
    ) -> ScorerOutput:
        """Return scores of all candidates; ``index_BK`` is a candidate's sequence, -1 if there is none."""
        query_BD = self.vectors(input_ids, attention_mask, pool_mask, soft_rows, token_type_ids)
        candidate_RD = self._vectors_by_length(_group(others, "candidate_"))
        scores_BK = self.scores(query_BD, candidate_RD, index_BK)
        return ScorerOutput(scores_BK, self._value(_group(others, "state_")))


class MaskedVerbaliser(Scorer):
    """A scorer by the masked-language head's probability of each candidate after the prompt; no new parameters.

    ``z_c = (1/n) sum_i log p(c_i | rest, own word masked) - the same without the input``: the mean over
    pieces keeps long candidates comparable (Kauf & Ivanova 2023 mask whole words; Holtzman et al. 2021
    subtract the score under the prompt alone, "domain PMI").
    """

    def __init__(self, model: Any, soft: SoftLayout | None) -> None:
        super().__init__(model, soft)
        heads = [(name, child) for name, child in model.named_children() if child is not model.base_model]
        if len(heads) != 1:
            raise ModelError(
                f"the masked-language head of {type(model).__name__} has {len(heads)} parts; the verbaliser needs one "
                "(as XLM-R, RoBERTa or BERT have). Use another model or another scorer"
            )
        self._head_name, head = heads[0]
        self.add_module(self._head_name, head)
        save_shared_once(self)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        masked_M4: Tensor,
        weight_M: Tensor,
        index_BK: Tensor,
        soft_rows: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> ScorerOutput:
        """Return scores of all candidates.

        Args:
            input_ids: sequences with masked words ``[R, T]``.
            attention_mask: ``[R, T]``.
            masked_M4: sequence, position, true token and index in the flattened scores of each masked piece.
            weight_M: weight of each piece's log-probability, ``1/n`` with input and ``-1/n`` without.
            index_BK: a candidate's index in the flattened scores, -1 if there is none.
            soft_rows: rows of the soft prompt table ``[R, T]``, -1 elsewhere.
            token_type_ids: ``[R, T]``.
        """
        hidden_RTD = self.encode(input_ids, attention_mask, soft_rows, token_type_ids)
        sequence_M, position_M, token_M, place_M = masked_M4.unbind(dim=1)
        # One projection to the vocabulary for each masked position, however many candidates use it.
        flat_M = sequence_M * input_ids.shape[1] + position_M
        asked_P, which_M = torch.unique(flat_M, return_inverse=True)
        head = getattr(self, self._head_name)
        log_probs_PV = head(hidden_RTD.flatten(0, 1)[asked_P]).float().log_softmax(dim=-1)
        pieces_M = log_probs_PV[which_M, token_M] * weight_M
        scores = pieces_M.new_zeros(index_BK.numel()).index_add(0, place_M, pieces_M)
        return ScorerOutput(scores.view_as(index_BK).masked_fill(index_BK < 0, float("-inf")), None)


def make_scorer(kind: str, model: str, soft: SoftLayout | None, *, trust_remote_code: bool = False) -> Scorer:
    """Return a scorer around a pretrained model.

    Args:
        kind: ``cross_encoder``, ``dual_encoder`` or ``verbaliser``.
        model: a folder in Hugging Face format or a hub name, e.g. ``FacebookAI/xlm-roberta-base``.
        soft: the soft prompt table, or ``None``.
        trust_remote_code: run Python code that comes with the model.

    Raises:
        ModelError: the model cannot be loaded, or is not an encoder of the required kind.
    """
    if kind == "verbaliser":
        return MaskedVerbaliser(load_masked_lm(model, trust_remote_code=trust_remote_code), soft)
    encoder = load_encoder(model, trust_remote_code=trust_remote_code)
    return (CrossEncoder if kind == "cross_encoder" else DualEncoder)(encoder, soft)


def _reads_forwards_only(model_type: str) -> bool:
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    return model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES


def _group(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
