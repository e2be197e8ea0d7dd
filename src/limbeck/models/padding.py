"""How a classifier's rows are padded: the token id, which its configuration must also have, and the side.

Classifiers on causal models read the position of a row's last token, which they find as the last id other than the
configuration's padding id; RoBERTa counts positions in the same way. So batches are padded with the model's own id,
whatever the tokenizer's padding token is. A model whose configuration has none reads the very last position of a
row, and only rows of one length; it gets an id that leaves these answers unchanged.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from limbeck.errors import ModelError
from limbeck.models.layers import text_config
from limbeck.models.taps import run_model
from limbeck.models.trials import probe_ids, undisturbed

__all__ = ["Padding", "padding_of", "share_padding"]

_TEXTS = ("a", "a row that is longer than the other one, so that one of the two is padded")
_TOLERANCE = 1e-3
"""Share of the largest logit: much more than rounding, much less than another token's state."""


@dataclass(frozen=True)
class Padding:
    """The padding token and side."""

    id: int
    left: bool
    difference: float = 0.0
    """Difference of logits in a batch and alone, as a share of the largest logit; rounding counts as 0."""


def padding_of(model: Any, tokenizer: Any, *, trained: bool = True) -> Padding:
    """Return how a classifier's rows are padded, and set that id in its configuration.

    The padding is the first one that gives two rows in a batch the same logits as alone: with the configuration's id,
    or if it has none, a special token of the tokenizer, the padding token first; on the tokenizer's side, or on the
    other one (GPT-2 counts positions from the left, padding included).

    Args:
        model: a classifier. It is tried once, and the result is stored on it.
        tokenizer: the model's tokenizer.
        trained: the head is already in use, so padding must not change its answers; else it learns with any padding.

    Raises:
        ModelError: no token can pad rows, or two rows cannot be read at once.
    """
    if getattr(model, "batch_padding", None) is None:
        model.batch_padding = _first_that_fits(model, tokenizer, trained)
        _set_id(model, model.batch_padding.id)
    found: Padding = model.batch_padding
    return found


def share_padding(model: Any, tokenizer: Any) -> None:
    """Determine a student's padding, and set it in its tokenizer too: they are saved together.

    The model's id becomes the tokenizer's padding token if it is a special token; an ordinary word would change how
    texts are read. Then only a model that looks for the id in rows takes the tokenizer's.

    Raises:
        ModelError: as `padding_of`.
    """
    own, special = _named_id(model), tokenizer.all_special_ids
    if own not in special and tokenizer.pad_token_id is not None and _reads_padding_id(model):
        _set_id(model, tokenizer.pad_token_id)
    padding = padding_of(model, tokenizer, trained=False)
    if padding.id in special:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(padding.id)
    tokenizer.padding_side = "left" if padding.left else "right"


def _first_that_fits(model: Any, tokenizer: Any, trained: bool) -> Padding:
    own = _named_id(model)
    places = getattr(text_config(model), "vocab_size", sys.maxsize)
    fixed = _is_token(own, places)
    named = (tokenizer.pad_token_id, tokenizer.eos_token_id, *tokenizer.all_special_ids)
    ids = [own] if fixed else [token for token in dict.fromkeys(named) if _is_token(token, places)]
    if not ids:
        raise ModelError(
            f"{_name(model)} has no padding token, which batches of unequal rows need, and the tokenizer has none "
            "either: set tokenizer.pad_token to a token that ends no row, and save the tokenizer"
        )
    left = tokenizer.padding_side == "left"
    rows = [dict(tokenizer(text)) for text in _TEXTS]
    if _is_shape(model) or not all(row["input_ids"] for row in rows):
        return Padding(ids[0], left)
    tried: list[Padding] = []
    fault: ModelError | None = None
    for token, side in product(ids, (left, not left)):
        try:
            alone = [_logits(model, [row], Padding(token, side), own if trained else token) for row in rows]
            together = _logits(model, rows, Padding(token, side), token)
        except ModelError as error:
            fault = error
            continue
        tried.append(Padding(token, side, _difference(torch.cat(alone), together)))
        if not tried[-1].difference:
            return tried[-1]
    if fault is not None and not tried:
        raise fault
    if trained and not fixed and _reads_padding_id(model):
        words = ", ".join(str(tokenizer.convert_ids_to_tokens(token)) for token in ids)
        raise ModelError(
            f"the configuration of {_name(model)} has no padding token, and none of the tokenizer's special tokens "
            f"({words}) leaves its answers unchanged. Set pad_token_id in config.json to a token that ends no row"
        )
    return min(tried[:2], key=lambda padding: padding.difference)


def _named_id(model: Any) -> Any:
    return getattr(text_config(model), "pad_token_id", None)


def _set_id(model: Any, token: Any) -> None:
    text_config(model).pad_token_id = token
    model.config.pad_token_id = token


def _is_token(token: Any, places: int) -> bool:
    return isinstance(token, int) and 0 <= token < places


def _is_shape(model: Any) -> bool:
    """Return whether the model has no weights to be tried with (`limbeck plan`)."""
    return any(parameter.is_meta for parameter in model.parameters())


def _name(model: Any) -> str:
    return f"{type(model).__name__} {getattr(model, 'name_or_path', '')}".strip()


def _reads_padding_id(model: Any) -> bool:
    """Return whether the model looks for the padding id in rows, so that its answers change with the id."""
    if _is_shape(model):
        return False
    ids = probe_ids(model, 1, 8)[0].tolist()
    elsewhere = min(set(range(len(ids) + 1)) - set(ids))
    usual, other = (_logits(model, [{"input_ids": ids}], Padding(0, False), named) for named in (elsewhere, ids[-1]))
    return _difference(usual, other) > 0


def _logits(model: Any, rows: Sequence[dict[str, list[int]]], padding: Padding, named: Any) -> Tensor:
    """Return logits of tokenised rows in one batch, ``[B, C]``, or of their tokens, ``[B * T, C]`` without padding.

    During the call, the configuration has the padding id `named`.
    """
    longest = max(len(row["input_ids"]) for row in rows)
    inputs: dict[str, list[list[int]]] = {}
    for row in rows:
        length = len(row["input_ids"])
        for name, values in {**row, "attention_mask": [1] * length}.items():
            filling = [padding.id if name == "input_ids" else 0] * (longest - length)
            inputs.setdefault(name, []).append(filling + values if padding.left else values + filling)
    where = next(model.parameters()).device
    before = _named_id(model)
    try:
        _set_id(model, named)
        batch = {name: torch.tensor(part, device=where) for name, part in inputs.items()}
        with undisturbed(model):
            logits = run_model(model, batch)["logits"]
    except (RuntimeError, ValueError, IndexError, KeyError) as error:
        raise ModelError(f"{_name(model)} cannot read {len(rows)} rows in a batch: {error}") from error
    finally:
        _set_id(model, before)
    return logits[batch["attention_mask"].bool()] if logits.dim() == 3 else logits


def _difference(alone_BC: Tensor, together_BC: Tensor) -> float:
    """Return the largest difference as a share of the largest logit; rounding counts as 0."""
    share = float((alone_BC - together_BC).abs().max() / alone_BC.abs().max().clamp_min(1e-12))
    return 0.0 if share <= _TOLERANCE else share
