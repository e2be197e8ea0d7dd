"""Tokenising conversations with the tokenizer's chat template, and finding the assistant's tokens.

The template is rendered by transformers, in its sandbox.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.data.generation.collate import TokenSequence
from limbeck.data.generation.records import Example, Message
from limbeck.data.generation.truncation import Built, Unencodable, truncate_prompt
from limbeck.data.records import brief
from limbeck.models.chat_template import at_date, require_steady

__all__ = ["chat_rows"]

_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


class _Refused(Exception):
    """The reason why a conversation has no tokens, for `chat_rows`."""


class _Span(NamedTuple):
    """The token range of one of the assistant's turns."""

    start: int
    stop: int


def chat_rows(
    rows: Sequence[Example],
    tokenizer: Any,
    *,
    system: str | None,
    end_ids: Sequence[int],
    max_length: int,
    max_prompt: int | None,
    date: datetime.date | None = None,
) -> Iterator[Built | Unencodable]:
    """Yield each conversation as rendered by the template; all turns of the assistant are supervised.

    A turn is supervised up to and including its first end token. If the template marks the assistant's words
    (``{% generation %}``), the marks are used. Otherwise a turn is the difference between the conversation before it,
    with the generation prompt, and the conversation with it, provided that both are prefixes of the whole.
    A conversation that ends with the user is a prompt: nothing in it is supervised. A template that writes the date
    writes `date`.

    Raises:
        ModelError: the template is random.
    """
    require_steady(tokenizer)
    tokenizer = at_date(tokenizer, date)
    marked = tokenizer.is_fast and bool(_GENERATION.search(tokenizer.get_chat_template()))
    for row in rows:
        turns = row.messages
        if system is not None and turns[0].role != "system":
            turns = (Message("system", system), *turns)
        try:
            sequence, odd_border = _conversation(turns, tokenizer, end_ids, marked)
        except _Refused as refused:
            yield Unencodable(str(refused))
            continue
        kept = int(len(sequence.ids) > 0 and int(sequence.ids[0]) == tokenizer.bos_token_id)
        built = truncate_prompt(sequence, kept, max_length, max_prompt)
        yield Built(built.sequences, built.cut, odd_border) if isinstance(built, Built) else built


def _conversation(
    turns: Sequence[Message], tokenizer: Any, end_ids: Sequence[int], marked: bool
) -> tuple[TokenSequence, bool]:
    if turns[-1].role != "assistant":
        prompt = _render(turns, tokenizer, to_answer=True)
        if not len(prompt):
            raise _Refused("the chat template writes nothing for it")
        return TokenSequence(prompt, np.zeros(len(prompt), dtype=np.bool_), len(prompt), False), False
    ids, spans = (_marked_spans if marked else _new_spans)(turns, tokenizer)
    supervised = np.zeros(len(ids), dtype=np.bool_)
    stops = [_first_end(ids, span, end_ids) for span in spans]
    for span, (stop, _) in zip(spans, stops, strict=True):
        supervised[span.start : stop] = True
    (stop, ended), border = stops[-1], spans[-1].start
    odd_border = False
    if marked:
        # A template may mark a turn from a later point than where a model starts generating.
        prompt = _render(turns[:-1], tokenizer, to_answer=True)
        odd_border = not _starts_with(ids, prompt) or len(prompt) > border
        border = border if odd_border else len(prompt)
    return TokenSequence(ids[:stop], supervised[:stop], border, ended), odd_border


def _marked_spans(turns: Sequence[Message], tokenizer: Any) -> tuple[NDArray[np.int32], list[_Span]]:
    encoded = _apply(turns, tokenizer, return_assistant_tokens_mask=True, return_offsets_mapping=True)
    ids, mask = _as_ids(encoded), np.asarray(encoded["assistant_masks"], dtype=np.int8)
    edges = np.flatnonzero(np.diff(mask, prepend=0, append=0)).reshape(-1, 2)
    spans = [_Span(int(start), _whole_character(int(stop), encoded["offset_mapping"])) for start, stop in edges]
    expected = sum(turn.role == "assistant" for turn in turns)
    if len(spans) != expected:
        raise _Refused(
            f"the chat template marks {len(spans)} stretches of tokens as the assistant's (generation blocks), but "
            f"the assistant has {expected} turns"
        )
    return ids, spans


def _whole_character(stop: int, characters: Sequence[tuple[int, int]]) -> int:
    """Move `stop` after all tokens of the character before it; transformers' mask has only the first one (emoji)."""
    while stop < len(characters) and characters[stop][0] < characters[stop - 1][1]:
        stop += 1
    return stop


def _new_spans(turns: Sequence[Message], tokenizer: Any) -> tuple[NDArray[np.int32], list[_Span]]:
    ids = _render(turns, tokenizer, to_answer=False)
    spans: list[_Span] = []
    for number, turn in enumerate(turns):
        if turn.role != "assistant":
            continue
        before = _render(turns[:number], tokenizer, to_answer=True)
        through = _render(turns[: number + 1], tokenizer, to_answer=False)
        for beginning, what in ((before, "asks for"), (through, "writes")):
            if not _starts_with(ids, beginning):
                raise _Refused(
                    f"the chat template {what} message {number + 1} in other tokens than the whole conversation has "
                    "there, so it is unknown which tokens the assistant wrote. Templates do this if they drop or "
                    "change earlier turns, or if their prompt ends in a space. Mark the assistant's words in it "
                    "({% generation %} ... {% endgeneration %}), or end the conversation with that message"
                )
        if len(through) <= len(before):
            raise _Refused(f"the chat template writes nothing for message {number + 1}")
        spans.append(_Span(len(before), len(through)))
    return ids, spans


def _first_end(ids: NDArray[np.int32], span: _Span, end_ids: Sequence[int]) -> tuple[int, bool]:
    """Return where a turn's targets stop, and whether they end with an end token.

    The end token may follow directly after the marked part.
    """
    ends = np.flatnonzero(np.isin(ids[span.start : span.stop + 1], list(end_ids)))
    return (span.start + int(ends[0]) + 1, True) if len(ends) else (span.stop, False)


def _starts_with(ids: NDArray[np.int32], beginning: NDArray[np.int32]) -> bool:
    return len(beginning) <= len(ids) and bool((ids[: len(beginning)] == beginning).all())


def _render(turns: Sequence[Message], tokenizer: Any, *, to_answer: bool) -> NDArray[np.int32]:
    return _as_ids(_apply(turns, tokenizer, add_generation_prompt=to_answer))


def _as_ids(encoded: Any) -> NDArray[np.int32]:
    return np.asarray(encoded["input_ids"], dtype=np.int32)


def _apply(turns: Sequence[Message], tokenizer: Any, *, return_offsets_mapping: bool = False, **options: Any) -> Any:
    messages = [turn._asdict() for turn in turns]
    # No warning for rows longer than the model's limit: they are cut and counted later.
    settings = {"verbose": False, "return_offsets_mapping": return_offsets_mapping}
    try:
        return tokenizer.apply_chat_template(messages, return_dict=True, tokenizer_kwargs=settings, **options)
    except Exception as error:  # a template may raise anything, on purpose or by mistake
        raise _Refused(brief(f"the chat template refuses it: {type(error).__name__}: {error}")) from error
