"""Tokenising prompts with completions, and plain text, without a chat template."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from limbeck.data.generation.collate import TokenSequence, with_completion
from limbeck.data.generation.records import Example
from limbeck.data.generation.task import Generation
from limbeck.data.generation.templates import Specials, special_tokens
from limbeck.data.generation.truncation import Built, Unencodable, truncate_prompt
from limbeck.errors import ModelError

__all__ = ["plain_pairs", "text_blocks"]

_ROWS_AT_ONCE = 1024


def plain_pairs(
    rows: Sequence[Example],
    task: Generation,
    tokenizer: Any,
    *,
    max_length: int,
    max_prompt: int | None,
    encoder_decoder: bool,
) -> Iterator[Built | Unencodable]:
    """Yield each row as prompt, separator, completion and end token.

    The prompt with its separator, and the completion, are **tokenised separately**: no token spans the boundary, so
    the prompt's ids are the same with and without a completion, in training and in generation.

    A causal model reads its tokenizer's initial tokens (BOS), prompt, completion and one end token. An encoder reads
    the prompt as its tokenizer encodes a text (without separator), and a decoder learns the completion as its
    tokenizer encodes a target, up to the first end token.

    Raises:
        ModelError: the tokenizer has no end token.
    """
    end = tokenizer.eos_token_id
    if end is None:
        raise ModelError(
            f"the tokenizer of {tokenizer.name_or_path} has no end token, so a student could not learn where to stop; "
            "set tokenizer.eos_token and save the tokenizer"
        )
    around = special_tokens(tokenizer)
    target = special_tokens(tokenizer, target=True) if encoder_decoder else Specials([], [])
    separator = "" if encoder_decoder else task.separator
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[start : start + _ROWS_AT_ONCE]
        prompts = _ids(tokenizer, [_prompt(row, task.system) + separator for row in part])
        completions = _ids(tokenizer, [row.completion or "" for row in part], target=encoder_decoder)
        for row, prompt, bare in zip(part, prompts, completions, strict=True):
            if not prompt or (row.completion is not None and not bare):
                yield Unencodable(f"its {'completion' if prompt else 'prompt'} has no tokens")
                continue
            completion = [*target.before, *bare, *target.after, end] if row.completion is not None else []
            sequence = with_completion([*around.before, *prompt], completion, [end])
            if encoder_decoder:
                yield _for_encoder(sequence, around, max_length, max_prompt)
            else:
                yield truncate_prompt(sequence, len(around.before), max_length, max_prompt)


def text_blocks(rows: Sequence[Example], tokenizer: Any, *, max_length: int) -> Iterator[Built | Unencodable]:
    """Yield each row as blocks of at most `max_length` tokens: BOS if the tokenizer has one, text, end token.

    Each block after a row's first begins with the last token of the previous one, so that every token but the row's
    first is predicted exactly once.
    """
    before = special_tokens(tokenizer).before
    after = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        texts = [row.text or "" for row in rows[start : start + _ROWS_AT_ONCE]]
        for bare in _ids(tokenizer, texts):
            ids = np.asarray([*before, *bare, *after], dtype=np.int32)
            if not bare or len(ids) < 2:
                yield Unencodable(f"{len(ids)} tokens: nothing to predict")
                continue
            starts = range(0, len(ids) - 1, max_length - 1)
            yield Built([_block(ids[i : i + max_length], i + max_length >= len(ids) and bool(after)) for i in starts])


def _block(ids: Any, ended: bool) -> TokenSequence:
    return TokenSequence(ids, np.arange(len(ids)) > 0, 0, ended)


def _for_encoder(
    sequence: TokenSequence, around: Specials, max_length: int, max_prompt: int | None
) -> Built | Unencodable:
    if len(sequence.completion_ids) > max_length:
        return Unencodable(
            f"its completion has {len(sequence.completion_ids):,} tokens, but max_length is {max_length:,}"
        )
    budget = min(max_length, max_prompt or max_length) - len(around.after)
    prompt = sequence.prompt_ids
    cut = len(prompt) > budget
    if cut:
        kept = len(around.before)
        prompt = np.concatenate([prompt[:kept], prompt[len(prompt) - (budget - kept) :]])
    prompt = np.concatenate([prompt, np.asarray(around.after, dtype=np.int32)])
    ids = np.concatenate([prompt, sequence.completion_ids])
    return Built([TokenSequence(ids, np.arange(len(ids)) >= len(prompt), len(prompt), sequence.ended)], cut)


def _prompt(row: Example, system: str | None) -> str:
    """Return the turns before the completion as one text; plain rows have a single one."""
    texts = [turn.content for turn in row.prompt]
    return "\n\n".join([system, *texts] if system is not None else texts)


def _ids(tokenizer: Any, texts: list[str], *, target: bool = False) -> list[list[int]]:
    side = {"text_target" if target else "text": texts}
    encoded = tokenizer(**side, add_special_tokens=False, return_attention_mask=False, verbose=False)
    return list(encoded["input_ids"])
