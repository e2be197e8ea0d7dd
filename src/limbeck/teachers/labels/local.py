"""Label probabilities from a local causal language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.errors import ConfigError, ModelError
from limbeck.models.verbaliser import LabelTokens, label_scores, label_tokens, shared_prefix_scores, shares_prefixes
from limbeck.teachers.labels.label_probs import LabelProbs
from limbeck.types import Update

__all__ = ["most_tokens", "score_labels"]

_TEXTS_AT_ONCE = 8


@torch.no_grad()
def score_labels(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    labels: Sequence[str],
    *,
    lead: str = " ",
    end: str = "\n",
    special_tokens: bool = True,
    length_power: float = 1.0,
    temperature: float = 1.0,
    update: Update | None = None,
) -> LabelProbs:
    """Return the probabilities of labels after each prompt: ``softmax(s / temperature)``, s as in the verbaliser.

    A mean over tokens (``length_power`` 1) varies little between labels, so probabilities are flat; fit the
    temperature on development rows (`limbeck.teachers.labels.calibration.fit_temperature`). The order of the labels
    may change with the power.

    Args:
        model: a causal language model; put into evaluation mode.
        tokenizer: the model's tokenizer.
        prompts: the texts up to the label, as rendered by `limbeck.data.prompts.label_render`.
        labels: the task's labels as written.
        lead: text between prompt and label.
        end: end marker of a label.
        special_tokens: put the tokenizer's own tokens (BOS) before each prompt.
        length_power: b in ``s = l / |v|^b``.
        temperature: temperature of the softmax.
        update: called for each completed prompt.

    Raises:
        ConfigError: no labels to choose from, or a prompt is longer than the model can read.
        ModelError: the tokenizer cannot be used, or the model gave numbers that are not finite.
    """
    if len(set(labels)) < 2 or len(set(labels)) < len(labels):
        raise ConfigError(f"expected two or more different labels to score, not {list(labels)}")
    model.eval()
    rows = [
        label_tokens(tokenizer, text, labels, lead=lead, end=end, special_tokens=special_tokens) for text in prompts
    ]
    _refuse_too_long(model, rows)
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][0].ids))  # similar lengths together: little padding
    shared = bool(rows) and shares_prefixes(model, [rows[order[0]], rows[order[-1]]], pad_id=pad_id)
    scores = shared_prefix_scores if shared else label_scores
    logits_NC = np.zeros((len(rows), len(labels)))
    for first in range(0, len(rows), _TEXTS_AT_ONCE):
        taken = order[first : first + _TEXTS_AT_ONCE]
        part_BM = scores(model, [rows[i] for i in taken], length_power=length_power, pad_id=pad_id)
        logits_NC[taken] = part_BM.double().cpu().numpy()
        if update is not None:
            update(len(taken))
    _refuse_not_finite(logits_NC)
    probs_NC = _softmax(logits_NC / temperature)
    steps = () if temperature == 1 else (f"temperature {temperature:.6g}",)
    kept_N = np.ones(len(rows), dtype=np.bool_)
    return LabelProbs(probs_NC, _softmax(logits_NC), kept_N, (frozenset(),) * len(rows), "local", steps)


def _softmax(logits_NC: NDArray[np.float64]) -> NDArray[np.float64]:
    odds_NC = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True, initial=-np.inf))
    probs_NC: NDArray[np.float64] = odds_NC / odds_NC.sum(axis=1, keepdims=True)
    return probs_NC


def most_tokens(model: Any) -> int | None:
    """Return the number of tokens that a model can read; ``None`` if its configuration does not say."""
    most: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return most


def _refuse_not_finite(logits_NC: NDArray[np.float64]) -> None:
    if not np.isfinite(logits_NC).all():
        row = int(np.argmin(np.isfinite(logits_NC).all(axis=1)))
        raise ModelError(
            f"the teacher's scores of text {row} are {logits_NC[row].tolist()}: not finite. This can happen with "
            "bfloat16 or missing weights; load the model in float32"
        )


def _refuse_too_long(model: Any, rows: Sequence[Sequence[LabelTokens]]) -> None:
    most = most_tokens(model)
    lengths = [max(len(label.ids) for label in labels) for labels in rows]
    if most is not None and lengths and max(lengths) > most:
        raise ConfigError(
            f"the prompt of text {int(np.argmax(lengths))} has {max(lengths):,} tokens with its longest label, but "
            f"the teacher can read {most:,}; use a shorter instruction or a smaller prompt.max_body_tokens"
        )
