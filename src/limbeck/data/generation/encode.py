"""Tokenising checked examples, once, before training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.generation.chat import chat_rows
from limbeck.data.generation.collate import TokenSequence
from limbeck.data.generation.encoded import EncodedSequences, LeftOut
from limbeck.data.generation.plain import plain_pairs, text_blocks
from limbeck.data.generation.records import Example, Examples
from limbeck.data.generation.templates import end_tokens, padding_token, uses_chat_template
from limbeck.data.generation.truncation import Built, Unencodable
from limbeck.data.quarantine import BAD_ROWS_SHOWN, OnBadRow, write_quarantine
from limbeck.data.records import BadRow
from limbeck.errors import ConfigError, DataError
from limbeck.formatting import share_text

__all__ = ["encode_examples"]


def encode_examples(
    examples: Examples,
    tokenizer: Any,
    max_length: int,
    *,
    decoder_start: int | None = None,
    max_prompt: int | None = None,
    on_bad_row: OnBadRow = "refuse",
    quarantine: Path | None = None,
) -> EncodedSequences:
    """Tokenise `examples`, and mark which tokens are supervised.

    `plain_pairs`, `text_blocks` and `chat_rows` describe the layout of rows. Prompts that are too long are cut from
    the left. A completion that does not fit is never cut, since the student would learn not to stop.

    Args:
        examples: rows and their task.
        tokenizer: the student's tokenizer; the teacher must use the same ids.
        max_length: maximum tokens of a row; for a model with an encoder, of prompt and completion each.
        decoder_start: first token of an encoder-decoder's decoder; ``None``: the model is causal.
        max_prompt: maximum tokens of a prompt, for example to leave room for generation.
        on_bad_row: what to do with rows that cannot be encoded, as in `load_examples`.
        quarantine: where to write them, with reasons. Not the file of `load_examples`, which it would replace.

    Raises:
        DataError: rows cannot be encoded; gives file and line.
        ConfigError: limits too small, or plain text or conversations for a model with an encoder.
        ModelError: the tokenizer lacks an end token, a padding token or a chat template, or has a random template.
        StorageError: the quarantine file cannot be written.
    """
    _require_limits(examples, max_length, max_prompt, decoder_start)
    chat = uses_chat_template(examples.task, tokenizer, encoder_decoder=decoder_start is not None)
    pad_id, end_ids = padding_token(tokenizer), end_tokens(tokenizer, chat=chat)
    if examples.task.text is not None:
        laid_out = text_blocks(examples.rows, tokenizer, max_length=max_length)
    elif chat:
        laid_out = chat_rows(
            examples.rows, tokenizer, system=examples.task.system, end_ids=end_ids, max_length=max_length,
            max_prompt=max_prompt, date=examples.task.date,
        )  # fmt: skip
    else:
        laid_out = plain_pairs(
            examples.rows, examples.task, tokenizer, max_length=max_length, max_prompt=max_prompt,
            encoder_decoder=decoder_start is not None,
        )  # fmt: skip
    pairs = list(zip(examples.rows, laid_out, strict=True))
    left_out = [(row, one.reason) for row, one in pairs if isinstance(one, Unencodable)]
    _set_aside(len(examples), left_out, on_bad_row, quarantine)
    kept = {number: one for number, (_, one) in enumerate(pairs) if isinstance(one, Built)}
    return EncodedSequences(
        **_joined([sequence for one in kept.values() for sequence in one.sequences]),
        example=np.repeat(list(kept), [len(one.sequences) for one in kept.values()]),
        end_ids=end_ids,
        pad_id=pad_id,
        decoder_start=decoder_start, max_length=max_length,
        truncated=sum(one.cut for one in kept.values()),
        left_out=tuple(LeftOut(row.origin, reason) for row, reason in left_out),
        findings=tuple(_findings(examples, tokenizer, list(kept.values()), end_ids)),
    )  # fmt: skip


def _require_limits(examples: Examples, max_length: int, max_prompt: int | None, decoder_start: int | None) -> None:
    if min(max_length, max_prompt or max_length) < 2:
        raise ConfigError(f"max_length {max_length} and max_prompt {max_prompt}: expected at least 2 tokens each.")
    if examples.task.text is not None and decoder_start is not None:
        raise ConfigError("plain text is for causal models; this one has an encoder. Use prompt and completion.")


def _joined(sequences: Sequence[TokenSequence]) -> dict[str, NDArray[Any]]:
    """Return the arrays of `EncodedSequences` that hold tokens."""
    return {
        "ids": np.concatenate([sequence.ids for sequence in sequences]),
        "targets": np.concatenate([sequence.supervised for sequence in sequences]),
        "offsets": np.cumsum([0, *(len(sequence.ids) for sequence in sequences)], dtype=np.int64),
        "borders": np.asarray([sequence.border for sequence in sequences], dtype=np.int64),
        "ended": np.asarray([sequence.ended for sequence in sequences], dtype=np.bool_),
    }


def _findings(examples: Examples, tokenizer: Any, built: Sequence[Built], end_ids: Sequence[int]) -> Iterator[str]:
    total, left_out = len(examples), len(examples) - len(built)
    sequences = [sequence for one in built for sequence in one.sequences]
    cut, odd = sum(one.cut for one in built), sum(one.odd_border for one in built)
    if left_out:
        yield f"{left_out:,} of {total:,} rows ({share_text(left_out / total)}) cannot be encoded and are left out."
    if cut:
        share = share_text(cut / total)
        yield f"{cut:,} of {total:,} prompts ({share}) are longer than the limit and lose their beginning."
    if examples.task.text is None:
        completed = [sequence for sequence in sequences if len(sequence.completion_ids)]
        if len(completed) < len(sequences):
            yield f"{len(sequences) - len(completed):,} of {total:,} rows are prompts without a completion."
        endless = sum(not sequence.ended for sequence in completed)
        if endless:
            yield (
                f"{endless:,} of {len(completed):,} completions have no end token: the chat template writes none "
                "after the assistant's turn, so a student does not learn where to stop. Correct the template."
            )
        if inner := _ends_inside(examples, tokenizer, end_ids):
            yield f"{inner:,} completions contain an end token in their text; the part after it is not learnt."
    if odd:
        yield (
            f"{odd:,} conversations do not begin as the chat template begins an answer (add_generation_prompt): "
            "the student is trained after a different prompt from the one used for generation."
        )
    if tokenizer.pad_token_id is None:
        yield "The tokenizer has no padding token; rows are padded with the end token, and masked."


def _ends_inside(examples: Examples, tokenizer: Any, end_ids: Sequence[int]) -> int:
    ends = [str(token) for token in tokenizer.convert_ids_to_tokens(list(end_ids))]
    return sum(
        any(_goes_on(turn.content.rstrip(), end) for turn in row.messages if turn.role == "assistant" for end in ends)
        for row in examples.rows
    )


def _goes_on(text: str, end: str) -> bool:
    """Return whether anything follows the first `end` in `text`; for the end token "||", a third bar does."""
    place = text.find(end)
    return 0 <= place < len(text) - len(end)


def _set_aside(total: int, left_out: list[tuple[Example, str]], on_bad_row: OnBadRow, quarantine: Path | None) -> None:
    if not left_out or (on_bad_row == "quarantine" and 2 * len(left_out) <= total):
        if quarantine is not None:
            write_quarantine(quarantine, [_fault(row, reason) for row, reason in left_out])
        return
    lines = [f"{len(left_out):,} of {total:,} rows cannot be encoded as tokens:"]
    lines += [f"  {row.origin}: {reason}" for row, reason in left_out[:BAD_ROWS_SHOWN]]
    if len(left_out) > BAD_ROWS_SHOWN:
        lines.append(f"  and {len(left_out) - BAD_ROWS_SHOWN:,} more")
    if on_bad_row == "refuse":
        lines.append("Correct or shorten these rows.")
    elif on_bad_row == "stop":
        lines.append(
            "Correct these rows, raise max_length, or set `data.on_bad_row: quarantine` to continue without them."
        )
    else:
        lines.append("That is more than half, so they are not left out: check max_length and the template first.")
    raise DataError("\n".join(lines))


def _fault(row: Example, reason: str) -> tuple[str, BadRow]:
    content: object = row.text if row.text is not None else [turn._asdict() for turn in row.messages]
    return row.origin.file, BadRow(row.origin.line, None, reason, content)
