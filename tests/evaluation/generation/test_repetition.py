"""Repetition by hand."""

from __future__ import annotations

import pytest

from limbeck.evaluation.generation.repetition import distinct_share, repeated_share


def test_repeated_4_grams() -> None:
    # abcd, bcda, cdab, dabc, abcd: one of five was there before.
    assert repeated_share(list("abcdabcd")) == pytest.approx(1 / 5)
    assert repeated_share(["so"] * 13) == pytest.approx(9 / 10)
    assert repeated_share(list("abcdefgh")) == 0
    assert repeated_share(list("aaa")) == 0
    assert repeated_share([]) == 0


def test_distinct_is_over_all_texts_together() -> None:
    texts = [["a", "b", "a"], ["b", "a"], []]
    assert distinct_share(texts, 1) == pytest.approx(2 / 5)
    # ab, ba | ba: no pair goes over the border of two texts.
    assert distinct_share(texts, 2) == pytest.approx(2 / 3)
    assert distinct_share([["a"]], 2) == 0
