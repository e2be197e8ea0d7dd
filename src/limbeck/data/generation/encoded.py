"""Token sequences of a whole data set as flat arrays, and batches of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from limbeck.data.generation.collate import TokenSequence, collate
from limbeck.errors import ConfigError
from limbeck.types import Batch, Origin

__all__ = ["EncodedSequences", "LeftOut"]


@dataclass(frozen=True)
class LeftOut:
    """An example without token sequences, and why."""

    origin: Origin
    reason: str


@dataclass(frozen=True)
class EncodedSequences:
    """N token sequences: tokens of row i are ``ids[offsets[i] : offsets[i + 1]]``, as in `TokenSequence`."""

    ids: NDArray[np.int32]
    targets: NDArray[np.bool_]
    """Which tokens are supervised, aligned with `ids`."""
    offsets: NDArray[np.int64]
    borders: NDArray[np.int64]
    """Where each row's completion starts, counted from the row's start."""
    ended: NDArray[np.bool_]
    """Whether each row's completion ends with an end token."""
    example: NDArray[np.int64]
    """The example of each row. Not every example has a row, and a long text has several."""
    end_ids: tuple[int, ...]
    """Every token that ends a completion, and generation."""
    pad_id: int
    decoder_start: int | None
    """First token of the decoder; ``None`` if the model is causal."""
    max_length: int
    truncated: int
    """Examples whose prompt was cut."""
    left_out: tuple[LeftOut, ...]
    findings: tuple[str, ...]
    """What a user should know about these rows, in plain sentences."""

    def __len__(self) -> int:
        return len(self.borders)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens read in each row, by encoder and decoder together."""
        return np.diff(self.offsets)

    @cached_property
    def supervised(self) -> NDArray[np.int64]:
        """Number of supervised tokens in each row."""
        before = np.concatenate([[0], np.cumsum(self.targets)])
        return np.asarray(before[self.offsets[1:]] - before[self.offsets[:-1]], dtype=np.int64)

    @cached_property
    def keys(self) -> list[str]:
        """A hash of each row's ids and targets; see `TokenSequence.key`."""
        return [self.sequence(row).key for row in range(len(self))]

    def sequence(self, row: int) -> TokenSequence:
        """Return one row."""
        span = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return TokenSequence(self.ids[span], self.targets[span], int(self.borders[row]), bool(self.ended[row]))

    def prompt_ids(self, row: int) -> NDArray[np.int32]:
        """Return the tokens that a model continues from, ``[n]``."""
        return self.sequence(row).prompt_ids

    def completion_ids(self, row: int) -> NDArray[np.int32]:
        """Return the completion with its end token, ``[m]``; for plain text, the whole block."""
        return self.sequence(row).completion_ids

    def batch(self, rows: Sequence[int] | NDArray[np.int64], *, pad_left: bool = False, pack: bool = False) -> Batch:
        """Return ``student`` and ``labels_BT`` of `rows`; see `collate`.

        Raises:
            ConfigError: packing is requested for a model with an encoder.
        """
        if pack and self.decoder_start is not None:
            raise ConfigError(
                "packing is for causal models: an encoder would read several prompts as one. Turn it off."
            )
        return collate(
            [self.sequence(int(row)) for row in rows],
            self.pad_id,
            decoder_start=self.decoder_start,
            pad_left=pad_left,
            pack_to=self.max_length if pack else None,
        )

    def fingerprint(self) -> str:
        """Return the SHA-256 of all ids, targets, boundaries and lengths, and the decoder's start token."""
        digest = hashlib.sha256(f"{self.decoder_start}".encode())
        for array in (self.ids, self.targets, self.offsets, self.borders):
            digest.update(array.tobytes())
        return digest.hexdigest()
