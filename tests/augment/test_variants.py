"""Which words may be replaced, and how copies are drawn."""

from __future__ import annotations

import random

import pytest

from limbeck.augment.variants import STOP_WORDS, Word, replaceable_words, variants


@pytest.mark.parametrize(
    ("text", "lowers", "expected"),
    [
        ("where is my lost card", True, ["lost", "card"]),
        ("The Card of 2b, naïve: top-up", True, ["Card", "top"]),  # up is a stop word
        ("The Card of 2b, naïve: top-up", False, ["top"]),
        ("it isn't card_no 42", True, ["card"]),
        ("карта 銀行 ...", True, []),
        ("", True, []),
    ],
)
def test_words_of_a_to_z_that_are_not_stop_words(text: str, lowers: bool, expected: list[str]) -> None:
    assert [text[word.start : word.end] for word in replaceable_words(text, lowers=lowers)] == expected


def test_stop_words_are_of_a_to_z() -> None:
    assert all(word.isascii() and word.isalpha() and word.islower() for word in STOP_WORDS)
    assert "card" not in STOP_WORDS
    assert {"the", "is", "not", "isn", "t"} <= STOP_WORDS


CARD, LOST = Word(3, 7), Word(8, 12)
FOUND = {CARD: ["note", "coin"], LOST: ["found"]}


def test_copies_are_what_the_rule_draws() -> None:
    """For each word a candidate, then a coin; the text itself and repeated copies are dropped."""
    text, draw = "My card lost!", random.Random(3)
    expected: list[str] = []
    for _ in range(20):
        card, coin = draw.choice(["note", "coin"]), draw.random()
        lost, other = draw.choice(["found"]), draw.random()
        copy = f"My {card if coin < 0.4 else 'card'} {lost if other < 0.4 else 'lost'}!"
        if copy not in [text, *expected]:
            expected.append(copy)
    assert len(expected) > 3
    assert variants(text, FOUND, copies=20, probability=0.4, draw=random.Random(3)) == expected


def test_each_word_is_replaced_with_its_own_probability() -> None:
    words = {Word(2 * n, 2 * n + 1): ["x"] for n in range(4000)}
    text = "a " * 4000
    (copy,) = variants(text, words, copies=1, probability=0.4, draw=random.Random(0))
    assert copy.count("x") / 4000 == pytest.approx(0.4, abs=0.025)
    assert len(copy) == len(text)


def test_what_stays() -> None:
    same = {CARD: ["card"]}
    assert variants("My card lost!", same, copies=9, probability=1.0, draw=random.Random(0)) == []
    assert variants("My card lost!", {CARD: []}, copies=9, probability=1.0, draw=random.Random(0)) == []
    (copy,) = variants("My Card  lost?", {CARD: ["note"]}, copies=9, probability=1.0, draw=random.Random(0))
    assert copy == "My Note  lost?"
