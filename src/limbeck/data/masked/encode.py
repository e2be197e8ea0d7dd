"""Tokenising plain text for masked language models, once; masks are drawn when a batch is made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.data.generation.records import Examples
from limbeck.data.generation.templates import special_tokens
from limbeck.data.masked.masking import Masking, token_weights
from limbeck.data.masked.task import MaskedLM
from limbeck.errors import ConfigError, DataError, ModelError
from limbeck.types import UNLABELLED, Batch, Origin

__all__ = ["MaskedTexts", "Reader", "encode_texts", "masking_of", "require_maskable"]

_ROWS_AT_ONCE = 1024
Reader = Literal["all", "student", "teacher"]
"""Who reads: all have the same masks when models are measured. A teacher in training has others than its students,
whom it would otherwise teach what it knows by heart: both read the texts in the same order."""
_READERS: tuple[Reader, ...] = get_args(Reader)


@dataclass(frozen=True)
class MaskedTexts:
    """N rows of tokens, each a text or a block of a long one: row i is ``ids[offsets[i] : offsets[i + 1]]``."""

    ids: NDArray[np.int32]
    maskable: NDArray[np.bool_]
    """Which tokens may be masked, aligned with `ids`: not special ones."""
    offsets: NDArray[np.int64]
    text_of: NDArray[np.int64]
    """The text of each row."""
    texts: int
    """Texts, bare ones included."""
    bare: tuple[Origin, ...]
    """Texts without any token to mask, which have no row."""
    pad_id: int
    masking: Masking
    reader: Reader = "all"
    seed: int = 0

    def __len__(self) -> int:
        return len(self.text_of)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each row."""
        return np.diff(self.offsets)

    @property
    def supervised(self) -> NDArray[np.int64]:
        """Number of masked tokens of each row, whatever the seed."""
        counts = np.add.reduceat(self.maskable, self.offsets[:-1], dtype=np.int64)
        return np.asarray([self.masking.count(count) for count in counts.tolist()], dtype=np.int64)

    @property
    def texts_read(self) -> NDArray[np.int64]:
        """The texts that have rows, in order."""
        return np.unique(self.text_of)

    def read_by(self, reader: Reader, seed: int) -> MaskedTexts:
        """Return the same texts with the masks of a training."""
        return replace(self, reader=reader, seed=seed)

    def fingerprint(self) -> str:
        """Return the SHA-256 of all ids and lengths."""
        return hashlib.sha256(self.ids.tobytes() + self.offsets.tobytes()).hexdigest()

    def batch(self, rows: Sequence[int] | NDArray[np.int64], *, masks: bool = True) -> Batch:
        """Return ``student`` and ``labels_BT`` of `rows`, padded to the longest.

        Args:
            rows: row numbers; number ``i + N`` is row i with the masks of the second pass, and so on.
            masks: mask tokens; otherwise texts are whole and nothing is predicted.
        """
        found = [self._masked(int(row)) if masks else self._whole(int(row)) for row in rows]
        longest = max(len(ids_T) for ids_T, _ in found)
        shape = (len(found), longest)
        ids, labels = np.full(shape, self.pad_id), np.full(shape, UNLABELLED)
        mask = np.zeros(shape, dtype=np.int64)
        for place, (ids_T, labels_T) in enumerate(found):
            ids[place, : len(ids_T)], labels[place, : len(ids_T)], mask[place, : len(ids_T)] = ids_T, labels_T, 1
        return {
            "student": {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)},
            "labels_BT": torch.from_numpy(labels),
            "rows_B": torch.from_numpy(np.asarray(rows, dtype=np.int64)),
        }

    def _span(self, row: int) -> slice:
        return slice(int(self.offsets[row]), int(self.offsets[row + 1]))

    def _whole(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ids_T = self.ids[self._span(number % len(self))].astype(np.int64)
        return ids_T, np.full(len(ids_T), UNLABELLED)

    def _masked(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        turn, row = divmod(number, len(self))
        span = self._span(row)
        key = (_READERS.index(self.reader), self.seed, row, turn)
        return self.masking.masked(self.ids[span], self.maskable[span], key)


def require_maskable(tokenizer: Any) -> None:
    """Refuse a tokenizer without a mask token or a padding token. Raises `ModelError`."""
    for name, token in (("mask", tokenizer.mask_token_id), ("padding", tokenizer.pad_token_id)):
        if token is None:
            raise ModelError(
                f"the tokenizer of {tokenizer.name_or_path} has no {name} token: masked language modelling is for "
                "encoders such as BERT, RoBERTa or MPNet. Name one with its masked-language head"
            )


def masking_of(task: MaskedLM, tokenizer: Any, ids: NDArray[np.int32]) -> Masking:
    """Return how texts are masked; `ids` are the tokens of the training rows, whose counts may matter."""
    known, special = set(tokenizer.get_vocab().values()), set(tokenizer.all_special_ids)
    ordinary = np.asarray(sorted(known - special), dtype=np.int64)
    weights_V = token_weights(ids, 1 + max(known), task.frequency_exponent)
    return Masking(task.mask_fraction, int(tokenizer.mask_token_id), ordinary, weights_V)


def encode_texts(
    examples: Examples, task: MaskedLM, tokenizer: Any, max_length: int, masking: Masking | None = None
) -> MaskedTexts:
    """Tokenise texts with their special tokens; one that is longer than `max_length` tokens becomes several rows.

    Args:
        examples: plain text.
        task: how it is masked.
        tokenizer: of both models.
        max_length: longest row in tokens.
        masking: of the training rows; ``None``: these are the training rows.

    Raises:
        ConfigError: `max_length` leaves no room for text.
        DataError: no text has a token to mask.
        ModelError: the tokenizer has no mask token, or changes texts with its special tokens.
    """
    require_maskable(tokenizer)
    around = special_tokens(tokenizer)
    room = max_length - len(around.before) - len(around.after)
    if room < 1:
        raise ConfigError(f"max_length {max_length} leaves no room for text beside special tokens. Raise it")
    special = np.asarray(tokenizer.all_special_ids)
    rows: list[NDArray[np.int32]] = []
    maskable: list[NDArray[np.bool_]] = []
    text_of: list[int] = []
    for number, ids in enumerate(_token_ids(examples, tokenizer)):
        for start in range(0, len(ids), room):
            part = ids[start : start + room]
            ordinary = ~np.isin(part, special)
            if ordinary.any():
                rows.append(np.concatenate([around.before, part, around.after]).astype(np.int32))
                ends = [np.zeros(len(side), dtype=np.bool_) for side in around]
                maskable.append(np.concatenate([ends[0], ordinary, ends[1]]))
                text_of.append(number)
    if not rows:
        raise DataError(
            f"none of the {len(examples)} texts has a token that can be masked: they consist of special or unknown "
            "tokens. Check task.text and the tokenizer"
        )
    read, flat = set(text_of), np.concatenate(rows)
    return MaskedTexts(
        ids=flat,
        maskable=np.concatenate(maskable),
        offsets=np.cumsum([0, *map(len, rows)], dtype=np.int64),
        text_of=np.asarray(text_of, dtype=np.int64),
        texts=len(examples),
        bare=tuple(row.origin for number, row in enumerate(examples.rows) if number not in read),
        pad_id=int(tokenizer.pad_token_id),
        masking=masking_of(task, tokenizer, flat) if masking is None else masking,
    )


def _token_ids(examples: Examples, tokenizer: Any) -> Any:
    """Yield the tokens of each text, without special tokens around it."""
    for start in range(0, len(examples), _ROWS_AT_ONCE):
        texts = [row.text or "" for row in examples.rows[start : start + _ROWS_AT_ONCE]]
        encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)
        yield from (np.asarray(ids, dtype=np.int32) for ids in encoded["input_ids"])
