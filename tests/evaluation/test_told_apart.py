"""Two sets of texts: of one collection, of two, too few."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.evaluation.told_apart import _area, told_apart

WORDS = {"pets": ["cat", "dog", "fish", "bird", "is", "the"], "news": ["vote", "bank", "law", "war", "is", "the"]}


def texts(topic: str, count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS[topic], 8)) for _ in range(count)]


def test_halves_of_one_collection_are_not_told_apart() -> None:
    for seed in range(3):
        area = told_apart(texts("pets", 150, seed), texts("pets", 60, 100 + seed))
        assert area is not None
        assert area.low < 0.55


def test_other_collections_are_told_apart() -> None:
    area = told_apart(texts("pets", 60, 0), texts("news", 150, 1))
    assert area is not None
    assert area.low > 0.95


def test_few_texts_say_nothing() -> None:
    assert told_apart(texts("pets", 19, 0), texts("news", 500, 1)) is None
    assert told_apart(texts("pets", 500, 0), texts("news", 19, 1)) is None


def test_the_area_is_the_share_of_pairs_in_order_and_its_interval_that_of_hanley_and_mcneil() -> None:
    rng = np.random.default_rng(0)
    positive = np.array([0] * 40 + [1] * 30)
    answers = rng.normal(size=70) + positive
    pairs = np.subtract.outer(answers[40:], answers[:40]) > 0
    found = _area(answers, positive)
    assert found.value == pytest.approx(pairs.mean())
    a = pairs.mean()
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    error = np.sqrt((a * (1 - a) + 29 * (q1 - a * a) + 39 * (q2 - a * a)) / 1200)
    assert found.high - found.value == pytest.approx(1.96 * error)
