"""Encoding texts as token ids, once, and token ids as padded batches.

All rows are tokenised before training and kept as one flat array, so that an epoch costs no
tokenisation and a row's length is known to the batch plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.errors import ModelError
from limbeck.models.padding import Padding
from limbeck.models.trials import readable_tokens
from limbeck.types import Rows

__all__ = ["Encoded", "encode_rows", "same_token_ids", "token_limit"]

_ROWS_AT_ONCE = 2048
_LONGEST_DEFAULT_TOKENS = 512
"""Limit used if neither tokenizer nor model has one."""


@dataclass(frozen=True)
class Encoded:
    """Token ids of many rows: row i is ``ids[offsets[i] : offsets[i + 1]]``."""

    ids: NDArray[np.int32]
    token_types: NDArray[np.int8] | None
    offsets: NDArray[np.int64]
    pad_id: int
    pad_left: bool
    rows_at_limit: int
    """Rows that fill the length limit: they were cut or fit exactly."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row, special tokens included."""
        return np.diff(self.offsets)

    def padded_as(self, padding: Padding) -> Encoded:
        """Return the same rows padded for another model with the same tokens, sharing their memory."""
        return replace(self, pad_id=padding.id, pad_left=padding.left)

    def fingerprint(self) -> str:
        """Return the SHA-256 of all ids, token types and lengths."""
        digest = hashlib.sha256(self.ids.tobytes() + self.offsets.tobytes())
        digest.update(self.token_types.tobytes() if self.token_types is not None else b"")
        return digest.hexdigest()

    def batch(self, rows: Sequence[int] | NDArray[np.int64]) -> dict[str, Tensor]:
        """Return ``input_ids``, ``attention_mask`` (and ``token_type_ids``) of `rows`, ``[B, T]``.

        T is the length of the longest of these rows. The mask comes from the lengths, never from the ids: a pad id
        may also be a real token.
        """
        picked = np.asarray(rows)
        starts, lengths = self.offsets[picked], self.lengths[picked]
        longest = int(lengths.max())
        column = np.arange(longest)
        real = column >= (longest - lengths)[:, None] if self.pad_left else column < lengths[:, None]
        source = np.concatenate([np.arange(s, s + n) for s, n in zip(starts, lengths, strict=True)])
        ids = np.full((len(picked), longest), self.pad_id, dtype=np.int64)
        ids[real] = self.ids[source]
        batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(real.astype(np.int64))}
        if self.token_types is not None:
            types = np.zeros_like(ids)
            types[real] = self.token_types[source]
            batch["token_type_ids"] = torch.from_numpy(types)
        return batch


def token_limit(tokenizer: Any, model: Any, wanted: int | None = None) -> int:
    """Return the maximum row length in tokens for both tokenizer and model, or `wanted` if shorter.

    The model's limit is found by trying (`limbeck.models.trials.readable_tokens`).

    Raises:
        ModelError: `wanted` is more than the model can read.
    """
    if wanted is None:
        named = tokenizer.model_max_length  # 10**30 or -1 if the tokenizer has no limit
        return readable_tokens(
            model, int(min(_LONGEST_DEFAULT_TOKENS, named)) if named > 0 else _LONGEST_DEFAULT_TOKENS
        )
    if wanted > (most := readable_tokens(model, wanted)):
        raise ModelError(f"max_length {wanted} is more than the {most} tokens {type(model).__name__} can read")
    return wanted


def encode_rows(rows: Rows, tokenizer: Any, max_length: int, padding: Padding | None = None) -> Encoded:
    """Tokenise `rows` with special tokens; longer ones are cut at `max_length` tokens.

    Args:
        rows: texts, or pairs of texts.
        tokenizer: the model's tokenizer.
        max_length: maximum length in tokens.
        padding: padding of the model which reads the rows; ``None``: the tokenizer's own.

    Raises:
        ModelError: the tokenizer has no padding token, and there is no model to ask.
    """
    if padding is None:
        if tokenizer.pad_token_id is None:
            raise ModelError(
                f"the tokenizer of {tokenizer.name_or_path} has no padding token, which batches of unequal rows need; "
                "set one (tokenizer.pad_token = ...) and save the tokenizer"
            )
        padding = Padding(int(tokenizer.pad_token_id), tokenizer.padding_side == "left")
    ids: list[NDArray[np.int32]] = []
    types: list[NDArray[np.int8]] = []
    lengths = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        stop = start + _ROWS_AT_ONCE
        pair = rows.text_pair[start:stop] if rows.text_pair is not None else None
        part = tokenizer(
            rows.text[start:stop], pair, truncation=True, max_length=max_length, return_attention_mask=False
        )
        lengths[start:stop] = [len(row) for row in part["input_ids"]]
        ids.append(np.concatenate([np.asarray(row, dtype=np.int32) for row in part["input_ids"]]))
        if "token_type_ids" in part:
            types.append(np.concatenate([np.asarray(row, dtype=np.int8) for row in part["token_type_ids"]]))
    return Encoded(
        ids=np.concatenate(ids) if ids else np.empty(0, dtype=np.int32),
        token_types=np.concatenate(types) if types else None,
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        pad_id=padding.id,
        pad_left=padding.left,
        rows_at_limit=int((lengths >= max_length).sum()),
    )


def same_token_ids(first: Any, second: Any) -> bool:
    """Return whether two tokenizers give every token the same id. Ids are compared, not sizes."""
    return bool(first.get_vocab() == second.get_vocab())
