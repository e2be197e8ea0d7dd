"""How a classifier's rows are padded: with which token id, the same in its configuration, and on which side.

Classifiers on causal models read the place of a row's last token, which they find as the last id that is not the
configuration's padding id; RoBERTa counts positions in the same way. So batches are padded with the model's own id,
whatever the tokenizer calls its padding token. A model whose configuration names none reads the very last place of a
row, and only rows of one length; it gets an id that leaves these answers as they are.
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
"""Of the largest logit: much more than rounding, much less than another token's state."""


@dataclass(frozen=True)
class Padding:
    """What fills up rows, and where."""

    id: int
    left: bool
    difference: float = 0.0
    """Between logits of rows in a batch and on their own, as a share of the largest logit; rounding counts as 0."""


def padding_of(model: Any, tokenizer: Any, *, trained: bool = True) -> Padding:
    """Return how rows of a classifier are padded; its configuration names that id from now on.

    The padding is the first that gives two rows in a batch the logits they have on their own: with the
    configuration's id, or where it has none with a special token of the tokenizer, the padding token first; on the
    tokenizer's side, or on the other one (GPT-2 counts positions from the left, padding included).

    Args:
        model: a classifier. It is tried once, and remembers.
        tokenizer: what it reads.
        trained: the head is in use already, so no padding may change its answers; else it learns with what it gets.

    Raises:
        ModelError: no token can fill up rows, or two rows cannot be read at once.
    """
    if getattr(model, "batch_padding", None) is None:
        model.batch_padding = _first_that_fits(model, tokenizer, trained)
        _set_id(model, model.batch_padding.id)
    found: Padding = model.batch_padding
    return found


def share_padding(model: Any, tokenizer: Any) -> None:
    """Settle how a student is padded, and let its tokenizer pad like this too: they are saved together.

    The model's id becomes the tokenizer's padding token if it is a special token; an ordinary word would change how
    texts are read. Then a model that looks at the id in rows only takes the tokenizer's.

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
            f"the configuration of {_name(model)} names no padding token, and none of the tokenizer's special tokens "
            f"({words}) leaves its answers as they are. Set pad_token_id in config.json to a token that ends no row"
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
    """Whether the model has no weights to be tried with (`limbeck plan`)."""
    return any(parameter.is_meta for parameter in model.parameters())


def _name(model: Any) -> str:
    return f"{type(model).__name__} {getattr(model, 'name_or_path', '')}".strip()


def _reads_padding_id(model: Any) -> bool:
    """Whether the model looks for the configuration's padding id in rows: what it says changes with the id."""
    if _is_shape(model):
        return False
    ids = probe_ids(model, 1, 8)[0].tolist()
    elsewhere = min(set(range(len(ids) + 1)) - set(ids))
    usual, other = (_logits(model, [{"input_ids": ids}], Padding(0, False), named) for named in (elsewhere, ids[-1]))
    return _difference(usual, other) > 0


def _logits(model: Any, rows: Sequence[dict[str, list[int]]], padding: Padding, named: Any) -> Tensor:
    """Logits of tokenised rows in one batch, ``[B, C]``, or those of their tokens, ``[B * T, C]`` without padding.

    Meanwhile the configuration names the padding id `named`.
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
    """The largest difference as a share of the largest logit; rounding counts as 0."""
    share = float((alone_BC - together_BC).abs().max() / alone_BC.abs().max().clamp_min(1e-12))
    return 0.0 if share <= _TOLERANCE else share
