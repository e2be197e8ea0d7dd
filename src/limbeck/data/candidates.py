"""Encoding instruction records as token ids, and token ids as batches for a scorer.

Every text is tokenised once. Batches are assembled from these pieces:

    cross encoder      <s> [soft] T-P L-P input </s></s> candidate </s>     one sequence per candidate
    dual encoder       <s> [soft] T-P L-P input </s>                        one sequence per record, and
                       <s> [soft L] L-P candidate </s>                      one per different candidate in the batch
    masked verbaliser  as the cross encoder, one word of the candidate masked; and once more without input

The marks between the parts are those of the model's own tokenizer. If a sequence is too long, the input is cut,
never a prompt or a candidate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.errors import ConfigError, ModelError
from limbeck.types import UNLABELLED, Instruction, SoftLayout

__all__ = ["CandidateEncoder", "EncodedRecords", "HardPrompts", "ScorerKind", "Side", "TwoSides"]

ScorerKind = Literal["cross_encoder", "dual_encoder", "verbaliser"]
HardPrompts = Callable[[Instruction], tuple[str, str]]
"""Returns the texts of a record's Task-Level and Language-Level Prompts; empty: none."""

_LEAST_INPUT_TOKENS = 8
"""A prompt that leaves fewer tokens than this for the input is refused."""

_Piece = tuple[list[int], int, bool]
"""Token ids (or rows of the soft prompt table, as ``-1 - row``), segment, whether they are text to be judged."""
_Sequence = tuple[list[int], list[int], list[bool]]
"""Ids, segments and the pooling mask of one sequence."""


class _Frame:
    """The marks that a tokenizer puts before, between and after two texts."""

    def __init__(self, tokenizer: Any) -> None:
        if tokenizer.pad_token_id is None:
            raise ModelError(f"the tokenizer of {tokenizer.name_or_path} has no padding token, which batches require")
        first, second = (tokenizer(word, add_special_tokens=False)["input_ids"] for word in ("a", "b"))
        pair = tokenizer("a", "b")
        ids = list(pair["input_ids"])
        start = _find(ids, first, 0)
        middle = start + len(first)
        second_start = _find(ids, second, middle)
        self.start, self.middle = ids[:start], ids[middle:second_start]
        self.end = ids[second_start + len(second) :]
        self.segments = max(pair.get("token_type_ids", [0])) > 0
        self.pad_id = int(tokenizer.pad_token_id)


def _find(ids: list[int], part: list[int], start: int) -> int:
    for at in range(start, len(ids) - len(part) + 1):
        if ids[at : at + len(part)] == part:
            return at
    raise ModelError("cannot tell how this tokenizer marks a pair of texts; use an encoder with a pair format")


class CandidateEncoder:
    """An encoder of records for one kind of scorer.

    Args:
        tokenizer: the model's tokenizer.
        kind: kind of scorer.
        hard_prompts: returns the texts of a record's prompts.
        soft: indices of the soft prompt vectors; ``None``: no soft prompts.
        max_length: maximum positions of a sequence, soft vectors included.

    Raises:
        ModelError: the tokenizer has no padding or mask token, or no format for pairs.
    """

    def __init__(
        self,
        tokenizer: Any,
        kind: ScorerKind,
        *,
        hard_prompts: HardPrompts,
        soft: SoftLayout | None,
        max_length: int,
    ) -> None:
        self.kind = kind
        self.soft = soft
        self.max_length = max_length
        self.frame = _Frame(tokenizer)
        self._tokenizer = tokenizer
        self._hard_prompts = hard_prompts
        self._special = frozenset(tokenizer.all_special_ids)
        self._ids: dict[str, list[int]] = {"": []}
        if kind == "verbaliser":
            if tokenizer.mask_token_id is None:
                raise ModelError(
                    f"the tokenizer of {tokenizer.name_or_path} has no mask token, which this scorer needs"
                )
            self.mask_id = int(tokenizer.mask_token_id)
        self._words: dict[str, list[int]] = {}

    def encode(self, records: Sequence[Instruction], *, with_state: bool = False) -> EncodedRecords:
        """Tokenise all texts of `records`.

        Args:
            records: the records to encode.
            with_state: also return each record's sequence without candidate, which a critic reads.

        Raises:
            ConfigError: prompts (soft vectors included) and candidate leave no room for the input.
        """
        prompts = [self._hard_prompts(record) for record in records]
        texts = dict.fromkeys(
            text
            for record, (task_prompt, language_prompt) in zip(records, prompts, strict=True)
            for text in (task_prompt, language_prompt, record.input, record.input_pair or "", *record.candidates)
        )
        new = [text for text in texts if text not in self._ids]
        if new:
            encoded = self._tokenizer(new, add_special_tokens=False, verbose=False)
            self._ids.update((text, self._plain(ids)) for text, ids in zip(new, encoded["input_ids"], strict=True))
            if self.kind == "verbaliser":
                self._words.update({text: _word_starts(encoded.word_ids(i)) for i, text in enumerate(new)})
        for record, (task_prompt, language_prompt) in zip(records, prompts, strict=True):
            self._require_room(record, task_prompt, language_prompt)
        return EncodedRecords(self, list(records), prompts, with_state)

    def _plain(self, ids: list[int]) -> list[int]:
        """Return ids of plain text: one that spells a special token must not become one and forge the layout."""
        unknown = self._tokenizer.unk_token_id
        if unknown is None or self._special.isdisjoint(ids):
            return ids
        return [unknown if token in self._special else token for token in ids]

    def ids(self, text: str) -> list[int]:
        """Return the token ids of a text that was encoded."""
        return self._ids[text]

    def word_starts(self, text: str) -> list[int]:
        """Return the token indices where a text's words begin, and its length."""
        return self._words[text]

    def soft_ids(self, record: Instruction, *, task: bool = True) -> list[int]:
        """Return the rows of a record's soft vectors as ``-1 - row``."""
        if self.soft is None:
            return []
        rows = [*self.soft.task_rows(record.task)] if task else []
        return [-1 - row for row in (*rows, *self.soft.language_rows(record.lang))]

    def _require_room(self, record: Instruction, task_prompt: str, language_prompt: str) -> None:
        soft = len(self.soft_ids(record))
        hard = len(self.ids(task_prompt)) + len(self.ids(language_prompt))
        candidate = max(len(self.ids(text)) for text in record.candidates)
        ends = len(self.frame.start) + len(self.frame.end)
        breaks = (record.input_pair is not None) + (self.kind != "dual_encoder")
        marks = ends + breaks * len(self.frame.middle)
        if self.kind == "dual_encoder":
            # The candidate has its own sequence, with only the Language-Level Prompt.
            alone = candidate + len(self.ids(language_prompt)) + len(self.soft_ids(record, task=False)) + ends
            if alone > self.max_length:
                raise ConfigError(
                    f"record {record.id}: a candidate of {candidate} tokens does not fit {self.max_length} positions "
                    "with its prompt. Give a larger backbone.max_length or shorter candidates"
                )
            candidate = 0
        left = self.max_length - soft - hard - candidate - marks
        needed = min(_LEAST_INPUT_TOKENS, len(self.ids(record.input)) + len(self.ids(record.input_pair or "")))
        if left < needed:
            raise ConfigError(
                f"record {record.id}: {soft} soft prompt vectors, {hard} tokens of hard prompts, {candidate} of the "
                f"longest candidate and {marks} marks leave {max(left, 0)} of {self.max_length} positions for the "
                "input. Use fewer soft vectors (prompts.task_vectors, prompts.language_vectors), prompts of one form "
                "(prompts.form), a larger max_length, or a model that reads longer texts"
            )


def _word_starts(words: list[int | None]) -> list[int]:
    starts = [i for i, word in enumerate(words) if i == 0 or word != words[i - 1]]
    return [*starts, len(words)]


@dataclass(frozen=True)
class Side:
    """Sequences that a dual encoder reads separately: its questions, or its candidates."""

    sequences: list[_Sequence]
    _tensors: Callable[[list[_Sequence]], dict[str, Tensor]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sequence, soft vectors included."""
        return np.asarray([len(ids) for ids, _, _ in self.sequences], dtype=np.int64)

    def batch(self, indices: Sequence[int] | NDArray[np.int64]) -> dict[str, Tensor]:
        """Return the encoder's input for some of the sequences, each tensor ``[R, T]``."""
        return self._tensors([self.sequences[index] for index in indices])


class TwoSides(NamedTuple):
    """A dual encoder's inputs for some records; each different candidate once."""

    queries: Side
    """One question per record."""
    candidates: Side
    index_BK: Tensor
    """Index in `candidates` of each record's candidates, -1 if there is none."""


@dataclass(frozen=True)
class EncodedRecords:
    """Records of one run, ready to be batched for their kind of scorer."""

    encoder: CandidateEncoder
    records: list[Instruction]
    prompts: list[tuple[str, str]]
    with_state: bool

    @property
    def candidates(self) -> int:
        """Maximum number of candidates of a record: K."""
        return max((len(record.candidates) for record in self.records), default=0)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each record's sequence without candidate; batches are sorted by it."""
        return np.asarray([len(self._sequence(i, None)[0]) for i in range(len(self.records))], dtype=np.int64)

    @property
    def label_ids(self) -> NDArray[np.int64]:
        """Index of each record's first gold candidate, `UNLABELLED` without one."""
        return np.asarray([r.gold[0] if r.gold else UNLABELLED for r in self.records], dtype=np.int64)

    def fingerprint(self) -> str:
        """Return the SHA-256 of everything that a scorer reads from these records."""
        digest = hashlib.sha256(f"{self.encoder.kind} {self.encoder.soft} {self.encoder.max_length}".encode())
        for record, prompts in zip(self.records, self.prompts, strict=True):
            texts = (*prompts, record.input, record.input_pair or "", *record.candidates)
            ids = [self.encoder.ids(text) for text in texts]
            digest.update(repr((record.task, record.lang, ids)).encode())
        return digest.hexdigest()

    def gold(self, rows: NDArray[np.int64], width: int) -> Tensor:
        """Return the distribution over candidates to learn, float32 ``[B, width]``; all 0 without a label.

        One gold candidate: 1 there. Several: equal shares (the mean of their cross-entropies). Grades:
        ``softmax(grades)``.
        """
        gold_BK = torch.zeros(len(rows), width)
        for index, row in enumerate(rows):
            record = self.records[row]
            if record.grades is not None:
                grades = torch.tensor(record.grades, dtype=torch.float32)
                gold_BK[index, : len(grades)] = torch.softmax(grades, dim=0)
            elif record.gold:
                gold_BK[index, list(record.gold)] = 1 / len(record.gold)
        return gold_BK

    def present(self, rows: NDArray[np.int64], width: int) -> Tensor:
        """Return which positions hold a candidate, bool ``[B, width]``."""
        sizes = torch.tensor([len(self.records[row].candidates) for row in rows])
        return torch.arange(width) < sizes[:, None]

    def batch(self, rows: Sequence[int] | NDArray[np.int64], width: int | None = None) -> dict[str, Tensor]:
        """Return the scorer's input for `rows`; scores will be ``[B, width]`` (default: K of all records)."""
        picked = np.asarray(rows)
        columns = width or self.candidates
        build = {"cross_encoder": self._cross, "dual_encoder": self._dual, "verbaliser": self._verbaliser}
        batch = build[self.encoder.kind](picked, columns)
        if self.with_state:
            states = [self._sequence(int(row), None) for row in picked]
            batch |= {f"state_{name}": tensor for name, tensor in self._tensors(states).items()}
        return batch

    def _cross(self, rows: NDArray[np.int64], width: int) -> dict[str, Tensor]:
        index_BK = torch.full((len(rows), width), -1, dtype=torch.int64)
        sequences: list[_Sequence] = []
        for index, row in enumerate(rows):
            for k, candidate in enumerate(self.records[row].candidates):
                index_BK[index, k] = len(sequences)
                sequences.append(self._sequence(int(row), self.encoder.ids(candidate)))
        return {**self._tensors(sequences), "index_BK": index_BK}

    def two_sides(self, rows: Sequence[int] | NDArray[np.int64], width: int | None = None) -> TwoSides:
        """Return a dual encoder's inputs for `rows`, questions and candidates separate (default width: K of all)."""
        index_BK = np.full((len(rows), width or self.candidates), -1, dtype=np.int64)
        indices: dict[tuple[int, ...], int] = {}  # equal ids are read once, whatever their texts
        known: dict[tuple[str, str, str], int] = {}
        candidates: list[_Sequence] = []
        for index, row in enumerate(rows):
            record, prompt = self.records[row], self.prompts[row][1]
            for k, text in enumerate(record.candidates):
                key = (record.lang, prompt, text)
                if key not in known:
                    sequence = self._candidate(record, prompt, text)
                    known[key] = indices.setdefault(tuple(sequence[0]), len(candidates))
                    candidates += [sequence] if known[key] == len(candidates) else []
                index_BK[index, k] = known[key]
        queries = [self._sequence(int(row), None) for row in rows]
        return TwoSides(Side(queries, self._tensors), Side(candidates, self._tensors), torch.from_numpy(index_BK))

    def _candidate(self, record: Instruction, prompt: str, text: str) -> _Sequence:
        pieces: list[_Piece] = [
            (self.encoder.soft_ids(record, task=False), 0, False),
            (self.encoder.ids(prompt), 0, False),
            (self.encoder.ids(text), 0, True),
        ]
        return self._joined(pieces, [0, 0])

    def _dual(self, rows: NDArray[np.int64], width: int) -> dict[str, Tensor]:
        queries, candidates, index_BK = self.two_sides(rows, width)
        sides = self._tensors(candidates.sequences)
        return {
            **self._tensors(queries.sequences),
            **{f"candidate_{name}": tensor for name, tensor in sides.items()},
            "index_BK": index_BK,
        }

    def _verbaliser(self, rows: NDArray[np.int64], width: int) -> dict[str, Tensor]:
        """Build one sequence for each way to mask; candidates with equal masked sequences share one."""
        sequences: list[_Sequence] = []
        indices: dict[tuple[int, ...], int] = {}
        sums: list[tuple[int, int, int, int, float]] = []  # sequence, position, token, place of the score, weight
        index_BK = torch.full((len(rows), width), -1, dtype=torch.int64)
        for index, row in enumerate(rows):
            for k, text in enumerate(self.records[row].candidates):
                index_BK[index, k] = index * width + k
                ids, starts = self.encoder.ids(text), self.encoder.word_starts(text)
                for first, last in pairwise(starts):
                    masked = [*ids[:first], *[self.encoder.mask_id] * (last - first), *ids[last:]]
                    for sign in (1.0, -1.0):  # with the input, minus the score without it (domain PMI)
                        sequence = self._sequence(int(row), masked, content_free=sign < 0)
                        key = tuple(sequence[0])
                        if key not in indices:
                            indices[key] = len(sequences)
                            sequences.append(sequence)
                        begin = len(sequence[0]) - len(self.encoder.frame.end) - len(ids)
                        sums += [
                            (indices[key], begin + i, ids[i], index * width + k, sign / len(ids))
                            for i in range(first, last)
                        ]
        at_M4 = torch.tensor([entry[:4] for entry in sums], dtype=torch.int64)
        weight_M = torch.tensor([entry[4] for entry in sums], dtype=torch.float32)
        return {**self._tensors(sequences), "masked_M4": at_M4, "weight_M": weight_M, "index_BK": index_BK}

    def _sequence(self, row: int, candidate: list[int] | None, *, content_free: bool = False) -> _Sequence:
        """Return ids, segments and the pooling mask of a record's sequence, with a candidate or without."""
        record, (task_prompt, language_prompt) = self.records[row], self.prompts[row]
        ids = self.encoder.ids
        pieces: list[_Piece] = [
            (self.encoder.soft_ids(record), 0, False),
            (ids(task_prompt), 0, False),
            (ids(language_prompt), 0, False),
        ]
        frame = self.encoder.frame
        pair = record.input_pair is not None
        breaks = len(frame.middle) * (pair + (candidate is not None))
        used = len(frame.start) + breaks + len(frame.end) + sum(len(piece[0]) for piece in pieces)
        budget = self.encoder.max_length - used - (len(candidate) if candidate else 0)
        first, second = ([], []) if content_free else _cut(ids(record.input), ids(record.input_pair or ""), budget)
        pieces.append((first, 0, True))
        marks = [0]
        if pair:
            pieces.append((second, 1, True))
            marks.append(len(pieces) - 1)
        if candidate is not None:
            pieces.append((candidate, 1, True))
            marks.append(len(pieces) - 1)
        return self._joined(pieces, marks)

    def _joined(self, pieces: list[_Piece], marks: list[int]) -> _Sequence:
        """Join pieces with the tokenizer's marks: its start, its middle before each piece in `marks[1:]`, its end."""
        frame = self.encoder.frame
        ids, segments, pooled = list(frame.start), [0] * len(frame.start), [True] * len(frame.start)
        closed = 0  # a mark belongs to the segment that it closes
        for number, (part, segment, text) in enumerate(pieces):
            if number and number in marks[1:]:
                ids += frame.middle
                segments += [closed] * len(frame.middle)
                pooled += [True] * len(frame.middle)
            ids += part
            segments += [segment] * len(part)
            pooled += [text] * len(part)
            closed = segment
        ids += frame.end
        segments += [closed] * len(frame.end)
        pooled += [True] * len(frame.end)
        return ids, segments, pooled

    def _tensors(self, sequences: list[_Sequence]) -> dict[str, Tensor]:
        longest = max(len(ids) for ids, _, _ in sequences)
        shape = (len(sequences), longest)
        ids = np.full(shape, self.encoder.frame.pad_id, dtype=np.int64)
        mask, pool = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.float32)
        soft, segments = np.full(shape, -1, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for i, (row, segment, pooled) in enumerate(sequences):
            values = np.asarray(row)
            n = len(values)
            ids[i, :n] = np.where(values >= 0, values, self.encoder.frame.pad_id)
            soft[i, :n] = np.where(values < 0, -1 - values, -1)
            mask[i, :n], pool[i, :n], segments[i, :n] = 1, pooled, segment
        arrays = {"input_ids": ids, "attention_mask": mask, "pool_mask": pool}
        if self.encoder.soft is not None:
            arrays["soft_rows"] = soft
        if self.encoder.frame.segments:
            arrays["token_type_ids"] = segments
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _cut(first: list[int], second: list[int], budget: int) -> tuple[list[int], list[int]]:
    """Cut two texts to `budget` tokens together, the longer one first."""
    if len(first) + len(second) <= budget:
        return first, second
    shorter = min(len(first), len(second), budget // 2)
    if len(first) <= len(second):
        return first[:shorter] if len(first) > shorter else first, second[: budget - min(len(first), shorter)]
    return first[: budget - min(len(second), shorter)], second[:shorter] if len(second) > shorter else second
