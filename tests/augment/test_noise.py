"""How words are masked and replaced, and copies cut: rates, which words, and what stays."""

from __future__ import annotations

import random
from collections import Counter
from math import sqrt
from typing import Any

import pytest

from limbeck.augment.noise import Noise, Tagged, noisy_pairs, noisy_texts
from limbeck.errors import ConfigError

MASK = "[MASK]"
MANY = 20_000
WORDS = [f"w{n}" for n in range(MANY)]
TAGS = ["NOUN" if n % 2 else "VERB" for n in range(MANY)]
BY_TAG = {"NOUN": ["n"], "VERB": ["v", "v", "v", "u"]}


def texts(text: Tagged, seed: int = 0, by_tag: dict[str, list[str]] | None = None, **settings: Any) -> list[str]:
    noise = Noise(**settings)
    return noisy_texts(text, noise, mask=MASK, by_tag=by_tag or BY_TAG, draw=random.Random(seed))


def pairs(first: Tagged, second: Tagged, seed: int = 0, **settings: Any) -> list[tuple[str, str]]:
    return noisy_pairs(first, second, Noise(**settings), mask=MASK, by_tag=BY_TAG, draw=random.Random(seed))


def assert_rate(found: int, of: int, wanted: float) -> None:
    """Within 3 standard errors."""
    assert abs(found / of - wanted) <= 3 * sqrt(wanted * (1 - wanted) / of)


def test_a_tenth_of_the_words_is_masked_and_another_tenth_replaced() -> None:
    (copy,) = texts(Tagged(WORDS, TAGS), copies=1, cut_probability=0)
    words = copy.split(" ")
    assert len(words) == MANY
    changed = [(n, word) for n, word in enumerate(words) if word != WORDS[n]]
    replaced = [(n, word) for n, word in changed if word != MASK]
    assert_rate(len(changed) - len(replaced), MANY, 0.1)
    assert_rate(len(replaced), MANY, 0.1)
    assert all(word in BY_TAG[TAGS[n]] for n, word in replaced)
    verbs = Counter(word for n, word in replaced if TAGS[n] == "VERB")
    assert_rate(verbs["v"], verbs.total(), 0.75)  # as often as they occur


def test_without_parts_of_speech_nothing_is_replaced_and_as_much_is_masked() -> None:
    (tagged,) = texts(Tagged(WORDS, TAGS), copies=1, cut_probability=0, by_tag={"NOUN": ["same"], "VERB": ["same"]})
    (plain,) = texts(Tagged(WORDS), copies=1, cut_probability=0)
    assert set(plain.split(" ")) - set(WORDS) == {MASK}
    assert_rate(plain.split(" ").count(MASK), MANY, 0.1)
    assert "same" in tagged.split(" ")


def test_a_quarter_is_cut_to_one_to_five_words_in_a_row() -> None:
    """Where a cut of 3 of 7 words begins is drawn from all 5 places, the last one too."""
    words = [f"w{n}" for n in range(7)]
    cuts: Counter[tuple[int, int]] = Counter()
    tries = 6000
    for seed in range(tries):
        for copy in texts(Tagged(words), seed, copies=1, probability=0):
            kept = copy.split(" ")
            start = words.index(kept[0])
            assert kept == words[start : start + len(kept)]
            cuts[len(kept), start] += 1
    assert_rate(cuts.total(), tries, 0.25)
    lengths = Counter(length for length, _ in cuts.elements())
    assert set(lengths) == {1, 2, 3, 4, 5}
    for length, found in lengths.items():
        assert_rate(found, cuts.total(), 0.2)
        starts = {start: cuts[length, start] for start in range(8 - length)}
        for times in starts.values():
            assert_rate(times, found, 1 / (8 - length))


def test_a_short_text_is_not_cut() -> None:
    for seed in range(50):
        assert texts(Tagged(["one"]), seed, probability=0, cut_probability=1) == []


def test_a_text_of_which_no_word_is_left_is_thrown_away() -> None:
    assert texts(Tagged(["a", "b"]), probability=0.5, by_tag={}) != []
    word, tag = Tagged(["a"], ["X"]), {"X": ["b"]}
    assert texts(word, probability=0.5, copies=200, cut_probability=0, by_tag=tag) == []
    assert set(texts(Tagged(["a", "b"]), probability=0.5, copies=500, cut_probability=0)) == {f"{MASK} b", f"a {MASK}"}


def test_equal_copies_and_the_text_itself_are_dropped() -> None:
    words = Tagged(["my", "card", "is", "lost"])
    found = texts(words, copies=500)
    assert len(set(found)) == len(found)
    assert words.text not in found
    assert texts(words, copies=20, probability=0, cut_probability=0) == []


def test_a_pair_is_altered_on_both_sides_or_on_one() -> None:
    first, second = Tagged([f"a{n}" for n in range(60)]), Tagged([f"b{n}" for n in range(60)])
    which: Counter[tuple[bool, bool]] = Counter()
    tries = 3000
    for seed in range(tries):
        for one, other in pairs(first, second, seed, copies=1, cut_probability=0):
            which[one != first.text, other != second.text] += 1
    for sides in ((True, True), (True, False), (False, True)):
        assert_rate(which[sides], tries, 1 / 3)  # of 60 words one is nearly always altered


def test_copies_of_pairs_are_told_apart_as_pairs_and_none_is_thrown_away() -> None:
    found = pairs(Tagged(["a"]), Tagged(["b"]), copies=300, probability=0.5)
    assert set(found) == {(MASK, "b"), ("a", MASK), (MASK, MASK)}
    assert len(found) == 3


def test_how_many_copies_are_tried() -> None:
    assert (Noise().tries(pairs=False), Noise().tries(pairs=True)) == (20, 10)
    assert Noise(copies=3).tries(pairs=True) == 3
    assert len(texts(Tagged(WORDS))) == 20
    assert len(pairs(Tagged(WORDS), Tagged(WORDS[::-1]))) == 10


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"copies": 0}, "--copies must be at least 1, not 0"),
        ({"probability": 0.6}, "--probability must be from 0 to 0.5, not 0.6"),
        ({"probability": float("nan")}, "--probability must be"),
        ({"cut_probability": 1.1}, "--cut-probability must be from 0 to 1, not 1.1"),
    ],
)
def test_faults(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Noise(**settings)
