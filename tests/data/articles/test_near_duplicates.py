"""Stories against all pairs by brute force."""

from __future__ import annotations

import math
import random

import pytest

from limbeck.data.articles.near_duplicates import jaccard, stories
from limbeck.data.articles.tokens import plain_tokens

WORDS = [f"word{n}" for n in range(400)]


def brute_force(texts: list[str], threshold: float) -> list[int]:
    """Connected texts by comparing all pairs; each text's number is the first of its group."""
    group = list(range(len(texts)))
    for i in range(len(texts)):
        for j in range(i):
            if group[i] != group[j] and jaccard(texts[i], texts[j]) >= threshold:
                low, high = sorted((group[i], group[j]))
                group = [low if g == high else g for g in group]
    return group


def article(rng: random.Random, words: int = 60) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def edited(rng: random.Random, text: str, changes: int) -> str:
    words = text.split()
    for place in rng.sample(range(len(words)), changes):
        words[place] = "other"
    return " ".join(words)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.6, 0.8, 0.95])
def test_stories_are_those_of_all_pairs(threshold: float) -> None:
    rng = random.Random(3)
    texts = []
    for _ in range(25):
        text = article(rng)
        texts += [text, *(edited(rng, text, changes) for changes in (1, 2, 8, 30))]
    rng.shuffle(texts)
    found = stories(texts, threshold)
    assert found == brute_force(texts, threshold)
    assert 25 <= len(set(found)) < len(texts)


def test_jaccard_by_hand() -> None:
    # Runs of three: abc bcd cde against abc bcd cdx.
    assert jaccard("a b c d e", "a b c d x") == pytest.approx(2 / 4)
    assert jaccard("A, b; C d e!", "a b c d e https://example.org/1") == 1
    assert jaccard("a b", "a b") == 1
    assert jaccard("a b", "b a") == 0


@pytest.mark.parametrize(
    ("first", "second", "threshold"),
    [
        ("a b c d e", "a b c d x", 2 / 4),
        ("a b c d e f", "a b c d e x", 3 / 5),
        ("a b c d e f g h i", "a b c d e f g h x", 6 / 8),
        ("a b c d e f g h i j k l", "a b c d e f g h i j k x", 9 / 11),
        ("five people died", "Five people died!", 1.0),
    ],
)
def test_exactly_as_alike_as_the_threshold_is_the_same_story(first: str, second: str, threshold: float) -> None:
    assert jaccard(first, second) == threshold
    assert stories([first, second], threshold) == [0, 0]
    if threshold < 1:
        assert stories([first, second], math.nextafter(threshold, 1)) == [0, 1]


def test_a_chain_is_one_story_and_the_first_stands_for_it() -> None:
    a = " ".join(WORDS[:30])
    b = " ".join([*WORDS[3:30], "x", "y", "z"])
    c = " ".join([*WORDS[6:30], "x", "y", "z", "u", "v", "w"])
    assert jaccard(a, c) < 0.75 <= min(jaccard(a, b), jaccard(b, c))
    assert stories(["unlike all", c, a, b], 0.75) == [0, 1, 1, 1]


def test_texts_without_a_word_are_alike_only_if_they_are_equal() -> None:
    assert stories(["!!!", "???", "!!!", "https://a.example", "https://b.example"], 0.6) == [0, 1, 0, 3, 4]


def test_no_text_has_no_story() -> None:
    assert stories([], 0.6) == []


def test_many_copies_take_no_time() -> None:
    texts = [f"{WORDS[n % 7]} same news again and again in all the papers" for n in range(20_000)]
    assert len(set(stories(texts, 0.99))) == 7


def test_scripts_without_blanks_are_compared_by_characters() -> None:
    assert plain_tokens("地震で5人が死亡") == ("地", "震", "で", "5", "人", "が", "死", "亡")
    assert plain_tokens("แผ่นดิน a") == (*"แผ่นดิน", "a")
    first = "東京で強い地震があり五人が死亡したと警察が発表した"
    assert stories([first, first.replace("五", "六"), "今日は良い天気で海は静かだった"], 0.6) == [0, 0, 2]
