"""Prompts lose their beginning; completions never lose anything."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.data.generation.collate import TokenSequence, with_completion
from limbeck.data.generation.truncation import Built, Unencodable, truncate_prompt

PROMPT = [1, 10, 11, 12, 13]
COMPLETION = [20, 21, 2]


def cut(max_length: int, max_prompt: int | None = None, kept: int = 1) -> Built | Unencodable:
    return truncate_prompt(with_completion(PROMPT, COMPLETION, [2]), kept, max_length, max_prompt)


@pytest.mark.parametrize(
    ("max_length", "max_prompt", "kept", "prompt"),
    [
        (8, None, 1, PROMPT),
        (7, None, 1, [1, 11, 12, 13]),
        (5, None, 1, [1, 13]),
        (4, None, 0, [13]),
        (100, 3, 1, [1, 12, 13]),
        (100, 3, 0, [11, 12, 13]),
        (6, 4, 1, [1, 12, 13]),
    ],
    ids=["fits", "one", "most", "no_bos", "prompt_limit", "prompt_limit_no_bos", "both"],
)
def test_prompts_are_cut_behind_their_first_token(
    max_length: int, max_prompt: int | None, kept: int, prompt: list[int]
) -> None:
    built = cut(max_length, max_prompt, kept)
    assert isinstance(built, Built)
    (row,) = built.sequences
    assert row.prompt_ids.tolist() == prompt
    assert row.completion_ids.tolist() == COMPLETION
    assert row.supervised.tolist() == [False] * len(prompt) + [True] * 3
    assert built.cut == (len(prompt) < len(PROMPT))
    assert row.ended


def test_a_completion_that_leaves_no_room_is_refused_and_never_cut() -> None:
    refused = cut(4)
    assert isinstance(refused, Unencodable)
    assert refused.reason == "its completion has 3 tokens and leaves no room for a prompt: max_length is 4"


def test_the_first_token_that_is_left_is_no_target() -> None:
    earlier_turn = TokenSequence(
        np.arange(6, dtype=np.int32), np.array([False, True, True, False, True, True]), 4, True
    )
    built = truncate_prompt(earlier_turn, 0, 5, None)
    assert isinstance(built, Built)
    assert built.sequences[0].supervised.tolist() == [False, True, False, True, True]
    assert built.sequences[0].ids.tolist() == [1, 2, 3, 4, 5]
    assert earlier_turn.supervised.tolist() == [False, True, True, False, True, True]
