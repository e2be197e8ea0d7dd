"""ROUGE-L against values by hand and against the table of the textbook."""

from __future__ import annotations

import random

import pytest

from limbeck.evaluation.generation.rouge import longest_common_subsequence, rouge_l


def by_table(first: list[str], second: list[str]) -> int:
    """The quadratic recurrence of Lin 2004, section 3."""
    row = [0] * (len(second) + 1)
    for word in first:
        before = row[:]
        for j, other in enumerate(second):
            row[j + 1] = before[j] + 1 if word == other else max(before[j + 1], row[j])
    return row[-1]


@pytest.mark.parametrize(
    ("answer", "reference", "f1"),
    [
        # Lin 2004, section 3.1: reference S1 and candidates S2, S3.
        ("police kill the gunman", "police killed the gunman", 3 / 4),
        ("the gunman kill police", "police killed the gunman", 2 / 4),
        # LCS "the cat on the mat": 5 of 6 and 5 of 5 words.
        ("the cat on the mat", "the cat sat on the mat", 10 / 11),
        # LCS 2 of 2 and 2 of 6: precision 1, recall 1/3.
        ("the mat", "the cat sat on the mat", 1 / 2),
        ("the the the the", "the cat", 2 * 1 / 6),
        ("我爱北京", "我爱上海", 4 / 8),
        ("The CAT!", "the cat", 1.0),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
        ("cat", "", 0.0),
        ("?!", "?!", 0.0),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_by_hand(answer: str, reference: str, f1: float) -> None:
    assert rouge_l(answer, reference) == pytest.approx(f1, abs=1e-12)
    assert rouge_l(reference, answer) == pytest.approx(f1, abs=1e-12)


def test_the_bits_agree_with_the_table() -> None:
    rng = random.Random(0)
    for _ in range(300):
        first, second = ([rng.choice("abcde") for _ in range(rng.randrange(90))] for _ in range(2))
        assert longest_common_subsequence(first, second) == by_table(first, second)
