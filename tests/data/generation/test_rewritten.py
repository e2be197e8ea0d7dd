"""Rows with completions that a model wrote."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from limbeck.data.generation.encoded import EncodedSequences
from limbeck.data.generation.rewritten import take_rows, with_completions, written_sequences

END = 2
PROMPTS = ([5, 6, 7], [8], [9, 4, 4, 3])
COMPLETIONS = ([11, 12, END], [13, END], [14])


def make(decoder_start: int | None = None, max_length: int = 8) -> EncodedSequences:
    """Three rows of the three examples 4, 7 and 9."""
    rows = [[*prompt, *completion] for prompt, completion in zip(PROMPTS, COMPLETIONS, strict=True)]
    borders = np.asarray([len(prompt) for prompt in PROMPTS])
    targets = [np.arange(len(row)) >= border for row, border in zip(rows, borders, strict=True)]
    return EncodedSequences(
        ids=np.concatenate(rows).astype(np.int32),
        targets=np.concatenate(targets),
        offsets=np.cumsum([0, *map(len, rows)]),
        borders=borders,
        ended=np.asarray([True, True, False]),
        example=np.asarray([4, 7, 9]),
        end_ids=(END, 1),
        pad_id=0,
        decoder_start=decoder_start,
        max_length=max_length,
        truncated=1,
        left_out=(),
        findings=("something",),
    )


def same_batch(one: Any, two: Any) -> bool:
    inputs = all(torch.equal(one["student"][name], two["student"][name]) for name in one["student"])
    return inputs and torch.equal(one["labels_BT"], two["labels_BT"])


@pytest.mark.parametrize("decoder_start", [None, 0])
def test_a_models_text_and_a_data_sets_text_of_the_same_tokens_are_one_batch(decoder_start: int | None) -> None:
    """White-box specification, section 6: labels of either are shifted once, and the prompt is masked in both."""
    encoded = make(decoder_start)
    rewritten = with_completions(encoded, dict(enumerate(COMPLETIONS)))
    assert same_batch(rewritten.batch([0, 1, 2]), encoded.batch([0, 1, 2]))
    assert rewritten.fingerprint() == encoded.fingerprint()
    assert rewritten.keys == encoded.keys


def test_completions_are_those_given_and_prompts_stay() -> None:
    rewritten = with_completions(make(), {2: [20, 21, 1, 30], 0: [22, 23]})
    assert len(rewritten) == 2
    assert [rewritten.prompt_ids(row).tolist() for row in (0, 1)] == [[5, 6, 7], [9, 4, 4, 3]]
    assert rewritten.completion_ids(0).tolist() == [22, 23]
    assert rewritten.completion_ids(1).tolist() == [20, 21, 1]  # nothing after the first end token, whichever
    assert rewritten.ended.tolist() == [False, True]
    assert rewritten.example.tolist() == [4, 9]
    assert rewritten.supervised.tolist() == [2, 3]
    assert rewritten.lengths.tolist() == [5, 7]
    assert (rewritten.end_ids, rewritten.max_length) == ((END, 1), 8)
    assert (rewritten.truncated, rewritten.left_out, rewritten.findings) == (0, (), ())


def test_rows_of_an_empty_completion_are_left_out() -> None:
    rewritten = with_completions(make(), {0: [], 1: [20]})
    assert rewritten.example.tolist() == [7]


@pytest.mark.parametrize(
    ("decoder_start", "max_length", "kept"),
    [(None, 5, [2, 4, 1]), (None, 4, [1, 3, 1]), (None, 2, [1, 1, 1]), (0, 5, [5, 5, 5])],
)
def test_a_text_is_cut_at_the_length_limit(decoder_start: int | None, max_length: int, kept: list[int]) -> None:
    """The encoder reads the prompt, so a decoder has the limit to itself; one token at least is learnt."""
    written = list(range(20, 29))
    sequences = written_sequences(make(decoder_start, max_length), [0, 1, 2], [written] * 3)
    assert [sequence.completion_ids.tolist() for sequence in sequences] == [written[:count] for count in kept]
    assert [len(sequence.prompt_ids) for sequence in sequences] == [3, 1, 4]
    assert not any(sequence.ended for sequence in sequences)


def test_an_end_token_behind_the_limit_is_no_end() -> None:
    (sequence,) = written_sequences(make(max_length=5), [0], [[20, 21, END]])
    assert sequence.completion_ids.tolist() == [20, 21]
    assert not sequence.ended


def test_rows_may_be_written_in_any_order_and_more_than_once() -> None:
    sequences = written_sequences(make(), [2, 0, 2], [[20], [21], [22]])
    assert [sequence.ids.tolist() for sequence in sequences] == [[9, 4, 4, 3, 20], [5, 6, 7, 21], [9, 4, 4, 3, 22]]


def test_some_rows_in_the_order_given() -> None:
    encoded = make()
    taken = take_rows(encoded, np.asarray([2, 0]))
    assert same_batch(taken.batch([0, 1]), encoded.batch([2, 0]))
    assert taken.ended.tolist() == [False, True]
    assert taken.example.tolist() == [9, 4]
    assert taken.borders.tolist() == [4, 3]
    assert taken.keys == [encoded.keys[2], encoded.keys[0]]
