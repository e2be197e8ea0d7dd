"""Mapping units of a text (words, or a tokenizer's pieces) to token positions, and tags of units to spans.

A unit has one tag. In rows of words the units are the words, as usual; in rows of text they are the
pieces of the student's tokenizer, so that entities may begin and end inside a word (Korean particles, Hebrew prefixes)
and scripts without spaces need no splitter. Both are ranges of characters, so a teacher with another tokenizer is
asked about the same units.

A unit is read at the first piece that begins in it. One without such a piece (characters that the tokenizer drops, or
a piece that began earlier) has no position: nothing is learnt there, and it continues the unit before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.data.encode import Encoded
from limbeck.data.tagging.rows import Range, TaggedRow
from limbeck.data.tagging.scheme import Scheme, Span, spans_of, tag_names, tags_of
from limbeck.errors import ModelError
from limbeck.models.padding import Padding
from limbeck.types import UNLABELLED

__all__ = ["EncodedUnits", "encode_units", "lost_spans", "spans_from_tags", "tag_ids", "units_of"]

_ROWS_AT_ONCE = 1024
_OVERLAP = 4
"""A window shares a quarter of its tokens with the one before."""


@dataclass(frozen=True)
class EncodedUnits:
    """Tokens of many rows and where their units are read. A text longer than the limit is several windows.

    U counts the units of all rows, row by row; W counts windows. Each unit is read in one window, where it has most
    context; units of a window follow each other.
    """

    windows: Encoded
    row_of_W: NDArray[np.int64]
    """The row of each window."""
    row_offsets: NDArray[np.int64]
    """Units of row i are ``row_offsets[i]`` to ``row_offsets[i + 1]``: ``[N + 1]``."""
    window_offsets: NDArray[np.int64]
    """The same of windows: ``[W + 1]``."""
    position_U: NDArray[np.int32]
    """Token of its window at which a unit is read, padding not counted; -1 if there is none."""

    @property
    def units(self) -> int:
        """All units."""
        return len(self.position_U)

    def units_in(self, windows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the units that are read in the given windows, window by window."""
        return np.concatenate([np.arange(self.window_offsets[w], self.window_offsets[w + 1]) for w in windows])

    def places(self, windows: Sequence[int] | NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Return where the units of a batch are read, as three arrays ``[S]``: row of the batch, token, unit."""
        picked = np.asarray(windows)
        lengths = self.windows.lengths[picked]
        padding = lengths.max() - lengths if self.windows.pad_left else np.zeros_like(lengths)
        row_S = np.repeat(np.arange(len(picked)), np.diff(self.window_offsets)[picked])
        unit_S = self.units_in(picked)
        read = self.position_U[unit_S] >= 0
        row_S, unit_S = row_S[read], unit_S[read]
        return row_S, self.position_U[unit_S] + padding[row_S], unit_S


def units_of(row: TaggedRow, tokenizer: Any) -> list[Range]:
    """Return the units of a row: its words, or the tokenizer's pieces without spaces.

    Pieces that begin at one character (an emoji of several bytes) are one unit, which ends where the next begins.
    """
    if row.words is not None:
        return list(row.words)
    pieces = tokenizer(row.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ends: dict[int, int] = {}
    for start, end in pieces["offset_mapping"]:
        if (start := _after_blanks(row.text, start, end)) < end:
            ends[start] = max(end, ends.get(start, 0))
    starts = sorted(ends)
    return [(start, min(ends[start], after)) for start, after in pairwise([*starts, len(row.text)])]


def encode_units(
    rows: Sequence[TaggedRow], units: Sequence[Sequence[Range]], tokenizer: Any, max_length: int, padding: Padding
) -> EncodedUnits:
    """Tokenise rows and find their units. Nothing is cut: texts over `max_length` tokens are split into windows.

    Args:
        rows: texts.
        units: the units of each row, in order.
        tokenizer: a fast tokenizer of the model that reads the rows.
        max_length: maximum tokens of a window.
        padding: the model's padding.

    Raises:
        ModelError: the tokenizer does not give the positions of its tokens in the text.
    """
    if not tokenizer.is_fast:
        raise ModelError(
            f"the tokenizer of {tokenizer.name_or_path} is a slow one, which does not give the positions of its "
            "tokens in the text; entities need a fast one (a folder with tokenizer.json)"
        )
    budget = max_length - tokenizer.num_special_tokens_to_add()
    overlap = budget // _OVERLAP
    windows = list(_windows(rows, tokenizer, max_length, overlap))
    row_of_W = np.array([window.row for window in windows], dtype=np.int64)
    window_offsets, positions = [0], [np.empty(0, dtype=np.int32)]
    for row, first, stop in zip(units, *_runs(row_of_W, len(rows)), strict=True):
        starts_U, ends_U = np.array(row, dtype=np.int64).reshape(-1, 2).T
        own = windows[first:stop]
        window_U = _window_of(starts_U, own, overlap)
        positions.append(_positions(starts_U, ends_U, window_U, own))
        window_offsets += (window_offsets[-1] + np.cumsum(np.bincount(window_U, minlength=len(own)))).tolist()
    return EncodedUnits(
        windows=_joined(windows, padding),
        row_of_W=row_of_W,
        row_offsets=np.concatenate([[0], np.cumsum([len(row) for row in units])]).astype(np.int64),
        window_offsets=np.array(window_offsets, dtype=np.int64),
        position_U=np.concatenate(positions),
    )


class _Window(NamedTuple):
    """One sequence of tokens for the model."""

    row: int
    ids: NDArray[np.int32]
    types: NDArray[np.int8] | None
    starts: NDArray[np.int64]
    """Where its pieces start in the text, in ascending order."""
    tokens: NDArray[np.int32]
    """Which of its tokens they are."""


def _windows(rows: Sequence[TaggedRow], tokenizer: Any, max_length: int, overlap: int) -> Iterator[_Window]:
    """Yield the windows of all rows in order, at least one per row."""
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        part = tokenizer(
            [row.text for row in rows[first : first + _ROWS_AT_ONCE]],
            truncation=True,
            max_length=max_length,
            stride=overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
        )
        for window, row in enumerate(part["overflow_to_sample_mapping"]):
            starts, tokens = _pieces(
                rows[first + row].text, part["offset_mapping"][window], part["special_tokens_mask"][window]
            )
            types = part["token_type_ids"][window] if "token_type_ids" in part else None
            yield _Window(
                row=first + row,
                ids=np.asarray(part["input_ids"][window], dtype=np.int32),
                types=None if types is None else np.asarray(types, dtype=np.int8),
                starts=starts,
                tokens=tokens,
            )


def _pieces(
    text: str, offsets: Sequence[Range], special: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return where pieces start in the text, and which tokens they are; those with only spaces are left out."""
    pieces = [
        (begin, token)
        for token, (start, end) in enumerate(offsets)
        if not special[token] and (begin := _after_blanks(text, start, end)) < end
    ]
    return np.array([begin for begin, _ in pieces], dtype=np.int64), np.array([t for _, t in pieces], dtype=np.int32)


def _runs(row_of_W: NDArray[np.int64], rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first window of each row, and the one after its last."""
    return np.searchsorted(row_of_W, np.arange(rows)), np.searchsorted(row_of_W, np.arange(rows), side="right")


def _joined(windows: list[_Window], padding: Padding) -> Encoded:
    types = [window.types for window in windows if window.types is not None]
    return Encoded(
        ids=np.concatenate([window.ids for window in windows]),
        token_types=np.concatenate(types) if types else None,
        offsets=np.cumsum([0, *(len(window.ids) for window in windows)], dtype=np.int64),
        pad_id=padding.id,
        pad_left=padding.left,
        rows_at_limit=0,
    )


def _after_blanks(text: str, start: int, end: int) -> int:
    """Return where a piece starts without the spaces before its word, which some tokenizers include."""
    while start < end and text[start].isspace():
        start += 1
    return start


def _window_of(starts_U: NDArray[np.int64], windows: list[_Window], overlap: int) -> NDArray[np.int64]:
    """Return the window that reads each unit: an overlap belongs to the first window up to its middle."""
    cut = np.iinfo(np.int64).max
    cuts = []
    for window in windows[:0:-1]:
        if len(window.starts):  # else it holds blanks alone, and the next one begins where it does
            cut = window.starts[min(overlap // 2, len(window.starts) - 1)]
        cuts.append(cut)
    return np.searchsorted(np.array(cuts[::-1], dtype=np.int64), starts_U, side="right")


def _positions(
    starts_U: NDArray[np.int64], ends_U: NDArray[np.int64], window_U: NDArray[np.int64], windows: list[_Window]
) -> NDArray[np.int32]:
    """Return the token of its window at which each unit is read, -1 where no piece begins in it."""
    position_U = np.full(len(starts_U), -1, dtype=np.int32)
    for number, window in enumerate(windows):
        own = np.flatnonzero(window_U == number)
        piece = np.searchsorted(window.starts, starts_U[own])
        begins = np.append(window.starts, np.iinfo(np.int64).max)[piece] < ends_U[own]
        position_U[own[begins]] = window.tokens[piece[begins]]
    return position_U


def tag_ids(
    spans: Sequence[Sequence[Span] | None], units: Sequence[Sequence[Range]], labels: Sequence[str], scheme: Scheme
) -> NDArray[np.int64]:
    """Return the place in `tag_names` of each unit's tag, ``[U]``; `UNLABELLED` where a row's spans are ``None``."""
    place = {tag: i for i, tag in enumerate(tag_names(labels, scheme))}
    ids: list[int] = []
    for entities, own in zip(spans, units, strict=True):
        if entities is None:
            ids += [UNLABELLED] * len(own)
        else:
            ids += [place[tag] for tag in tags_of(_in_units(entities, own), len(own), scheme)]
    return np.array(ids, dtype=np.int64)


def lost_spans(spans: Sequence[Sequence[Span] | None], units: Sequence[Sequence[Range]]) -> int:
    """Count the entities that tags of these units cannot express, because they begin or end inside a unit."""
    return sum(
        len(set(entities) - set(_in_characters(_in_units(entities, own), own)))
        for entities, own in zip(spans, units, strict=True)
        if entities is not None
    )


def spans_from_tags(
    ids_U: NDArray[np.int64],
    encoded: EncodedUnits,
    units: Sequence[Sequence[Range]],
    tags: Sequence[str],
    scheme: Scheme,
) -> list[tuple[Span, ...]]:
    """Return the entities of each row, in characters, from the tag ids of its units.

    Args:
        ids_U: place in `tags` of each unit's tag; ignored if a unit has no position.
        encoded: the rows' units.
        units: their ranges.
        tags: all tags in the order of the logits.
        scheme: their scheme; tags that break it are read as in `spans_of`.
    """
    found: list[tuple[Span, ...]] = []
    for (start, stop), own in zip(pairwise(encoded.row_offsets), units, strict=True):
        read = np.flatnonzero(encoded.position_U[start:stop] >= 0)
        # A unit without a position goes with the one before it.
        groups = [(own[a][0], own[b - 1][1]) for a, b in pairwise([*read.tolist(), len(own)])]
        named = spans_of([tags[i] for i in ids_U[start:stop][read]], scheme)
        found.append(tuple(_in_characters(named, groups)))
    return found


def _in_characters(spans: Sequence[Span], units: Sequence[Range]) -> Iterator[Span]:
    for start, end, label in spans:
        yield Span(units[start][0], units[end - 1][1], label)


def _in_units(spans: Sequence[Span], units: Sequence[Range]) -> list[Span]:
    """Return the units that entities overlap; of two entities in one unit, the first gets it."""
    found: list[Span] = []
    starts, ends = np.array([start for start, _ in units]), np.array([end for _, end in units])
    free = 0
    for start, end, label in spans:
        first = max(free, int(np.searchsorted(ends, start, side="right")))
        stop = int(np.searchsorted(starts, end))
        if first < stop:
            found.append(Span(first, stop, label))
            free = stop
    return found
