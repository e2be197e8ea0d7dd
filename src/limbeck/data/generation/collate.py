"""Token sequences to batches: the only place where labels are shifted and masks are created.

Supervised tokens are stored separately and never derived from the ids: the padding id may also be the end
token, and may occur inside a prompt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from limbeck.types import UNLABELLED, Batch

__all__ = ["TokenSequence", "collate", "packed_groups", "with_completion"]

Ids = NDArray[np.int32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class TokenSequence:
    """Tokens of one row, and which of them are targets."""

    ids: Ids
    """Prompt and completion. A causal model reads both together; an encoder reads the first, a decoder the second."""
    supervised: Mask
    """Which tokens are targets, aligned with `ids`: in a conversation, all turns of the assistant."""
    border: int
    """Where the (last) completion starts."""
    ended: bool
    """Whether the completion ends with an end token; false if it was cut at a limit."""

    @property
    def prompt_ids(self) -> Ids:
        """The tokens before the completion."""
        return self.ids[: self.border]

    @property
    def completion_ids(self) -> Ids:
        """The completion, its end token included."""
        return self.ids[self.border :]

    @property
    def key(self) -> str:
        """Hash (BLAKE2b, 32 hexadecimal digits) of ids and targets: joins a row with its stored teacher signal."""
        digest = hashlib.blake2b(np.int64(self.border).tobytes(), digest_size=16)
        digest.update(self.ids.astype("<i4").tobytes())
        digest.update(self.supervised.tobytes())
        return digest.hexdigest()


def with_completion(prompt_ids: ArrayLike, completion_ids: ArrayLike, end_ids: Sequence[int]) -> TokenSequence:
    """Return a prompt followed by a model's (or a data set's) completion, all of which is supervised.

    The completion goes up to its first end token, which is a target. Anything after it is dropped, even padding with
    the same id. Without an end token it was cut at a limit: all tokens are targets, and there is no end token to
    learn.

    Args:
        prompt_ids: ``[n]``, without padding.
        completion_ids: ``[m]``, as generated.
        end_ids: every token that ends a completion.
    """
    prompt, completion = np.asarray(prompt_ids, dtype=np.int32), np.asarray(completion_ids, dtype=np.int32)
    ends = np.flatnonzero(np.isin(completion, end_ids))
    if len(ends):
        completion = completion[: ends[0] + 1]
    supervised = np.arange(len(prompt) + len(completion)) >= len(prompt)
    return TokenSequence(np.concatenate([prompt, completion]), supervised, len(prompt), bool(len(ends)))


def collate(
    sequences: Sequence[TokenSequence],
    pad_id: int,
    *,
    decoder_start: int | None = None,
    pad_left: bool = False,
    pack_to: int | None = None,
) -> Batch:
    """Return ``student`` (token ids and masks) and ``labels_BT`` of `sequences`, padded to the longest.

    In a causal model, position t predicts the token at t + 1, so labels are shifted by one within each sequence. For
    an encoder-decoder, the decoder's inputs are shifted instead: the start token and the completion without its last
    token.

    Args:
        sequences: B rows; without `pack_to` row b of the batch is sequence b.
        pad_id: pads rows; any id will do.
        decoder_start: first token of the decoder; ``None``: the model is causal.
        pad_left: pad before the rows (causal models, for generation). Position ids then start at each row's first
            token; models with absolute positions need them.
        pack_to: put several sequences into rows of at most this many tokens, in order, so that supervised positions
            follow each other as without packing. There is then no attention mask: position ids restart at each
            sequence, which is how transformers separates them, and ``read_BT`` marks what is not padding. Only for
            models that `check_packing` accepts.
    """
    if decoder_start is not None:
        return _encoder_decoder(sequences, pad_id, decoder_start)
    if pack_to is not None:
        return _packed(sequences, pad_id, pack_to)
    lengths = [len(sequence.ids) for sequence in sequences]
    student = {
        "input_ids": _pad([sequence.ids for sequence in sequences], pad_id, pad_left),
        "attention_mask": _pad([np.ones(length) for length in lengths], 0, pad_left),
    }
    if pad_left:
        student["position_ids"] = _pad([np.arange(length) for length in lengths], 0, pad_left)
    labels = [_next_tokens(sequence) for sequence in sequences]
    return {"student": student, "labels_BT": _pad(labels, UNLABELLED, pad_left)}


def _next_tokens(sequence: TokenSequence) -> NDArray[np.int64]:
    """Return the token that each position predicts; the last predicts nothing."""
    targets = np.where(sequence.supervised, sequence.ids, UNLABELLED).astype(np.int64)
    return np.append(targets[1:], UNLABELLED)[: len(targets)]


def _encoder_decoder(sequences: Sequence[TokenSequence], pad_id: int, start: int) -> Batch:
    prompts = [sequence.prompt_ids for sequence in sequences]
    completions = [sequence.completion_ids for sequence in sequences]
    targets = [np.where(s.supervised[s.border :], s.completion_ids, UNLABELLED) for s in sequences]
    # The start token is often the padding id (T5): the targets are masked, never the decoder's inputs.
    inputs = [np.insert(completion[:-1], 0, start) for completion in completions]
    return {
        "student": {
            "input_ids": _pad(prompts, pad_id, False),
            "attention_mask": _pad([np.ones(len(prompt)) for prompt in prompts], 0, False),
            "decoder_input_ids": _pad(inputs, pad_id, False),
        },
        "labels_BT": _pad(targets, UNLABELLED, False),
    }


def packed_groups(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Group consecutive sequences into rows of at most `width` tokens, minimising padding.

    Full rows do not minimise padding: what matters is how far the longest row is from the others. So for each number
    of rows, the narrowest width at which that many suffice is found. A sequence longer than `width` is alone.
    """
    longest = max(lengths)
    width = max(width, longest)
    best, fewest = [[number] for number in range(len(lengths))], longest * len(lengths)
    for rows in range(len(lengths) - 1, 0, -1):
        low, high = max(longest, -(-sum(lengths) // rows)), width
        if low > high or len(_in_order(lengths, high)) > rows:
            break
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if len(_in_order(lengths, middle)) <= rows else (middle + 1, high)
        groups = _in_order(lengths, low)
        if low * len(groups) < fewest:
            best, fewest = groups, low * len(groups)
    return best


def _in_order(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Fill rows one after the other, each as long as the next sequence fits."""
    groups: list[list[int]] = []
    left = 0
    for number, length in enumerate(lengths):
        if groups and length <= left:
            groups[-1].append(number)
        else:
            groups.append([number])
            left = width
        left -= length
    return groups


def _packed(sequences: Sequence[TokenSequence], pad_id: int, width: int) -> Batch:
    numbers = packed_groups([len(sequence.ids) for sequence in sequences], width)
    groups = [[sequences[number] for number in group] for group in numbers]
    longest = max(sum(len(sequence.ids) for sequence in group) for group in groups)
    positions = []
    for group in groups:
        filling = longest - sum(len(sequence.ids) for sequence in group)
        # Padding is one more sequence, so that nothing is masked and no real token attends to it.
        positions.append(np.concatenate([np.arange(n) for n in (*(len(s.ids) for s in group), filling)]))
    ids = [np.concatenate([sequence.ids for sequence in group]) for group in groups]
    labels = [np.concatenate([_next_tokens(sequence) for sequence in group]) for group in groups]
    return {
        "student": {"input_ids": _pad(ids, pad_id, False), "position_ids": _pad(positions, 0, False)},
        "labels_BT": _pad(labels, UNLABELLED, False),
        "read_BT": _pad([np.ones(len(row)) for row in ids], 0, False).bool(),
    }


def _pad(rows: Sequence[NDArray[np.generic]], fill: int, left: bool) -> Tensor:
    """Return int64 ``[B, T]``, T the length of the longest row."""
    padded = np.full((len(rows), max(map(len, rows))), fill, dtype=np.int64)
    for number, row in enumerate(rows):
        padded[number, padded.shape[1] - len(row) if left else 0 :][: len(row)] = row
    return torch.from_numpy(padded)
