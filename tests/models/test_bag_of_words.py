from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from limbeck.models.bag_of_words import fit_bag_of_words

FRUIT, TOOLS = ["apple", "cherry", "plum"], ["hammer", "wrench", "chisel"]


def sentences(count: int, seed: int = 0) -> tuple[list[str], NDArray[np.float64]]:
    """Sentences of fruit (0) or tools (1), and their one-hot labels of three classes."""
    draw = random.Random(seed)
    labels = [number % 2 for number in range(count)]
    texts = [f"the {draw.choice([FRUIT, TOOLS][label])} is {draw.choice(['old', 'red', 'big'])}" for label in labels]
    return texts, np.eye(3)[labels]


def test_it_learns_words_and_knows_nothing_of_a_class_without_rows() -> None:
    texts, probs_NC = sentences(30)
    found = fit_bag_of_words(texts, None, probs_NC).probs(["a red cherry", "my wrench", "big apples"])
    assert found.argmax(axis=1).tolist() == [0, 1, 0]
    assert (found[:, 2] == 0).all()
    assert found.sum(axis=1) == pytest.approx(1)


def test_the_same_rows_give_the_same_classifier() -> None:
    texts, probs_NC = sentences(30)
    first, again = (fit_bag_of_words(texts, None, probs_NC).probs(texts) for _ in range(2))
    assert (first == again).all()


def test_the_strength_suits_rows_that_were_not_learned() -> None:
    """With random labels nothing can be learned: the strongest penalty is best."""
    texts, _ = sentences(90)
    clean = fit_bag_of_words(texts, None, sentences(90)[1])
    labels = np.random.default_rng(0).integers(0, 2, 90)
    noisy = fit_bag_of_words([f"{text} {number}" for number, text in enumerate(texts)], None, np.eye(3)[labels])
    assert noisy.inverse_strength < clean.inverse_strength


def test_a_distribution_over_labels_counts_as_weighted_examples() -> None:
    soft = np.array([[0.75, 0.25, 0.0]] * 12)
    found = fit_bag_of_words(["one and the same"] * 12, None, soft).probs(["one and the same"])
    assert found[0] == pytest.approx([0.75, 0.25, 0.0], abs=0.05)


def test_rows_weigh_as_much_as_they_are_given() -> None:
    labels = np.eye(2)[[0, 1] * 6]
    weights = np.array([0.9, 0.1] * 6)
    found = fit_bag_of_words(["one and the same"] * 12, None, labels, weights).probs(["one and the same"])
    assert found[0] == pytest.approx([0.9, 0.1], abs=0.05)


def test_the_texts_of_a_pair_have_features_of_their_own() -> None:
    texts, pairs = ["cat", "dog"] * 8, ["dog", "cat"] * 8
    found = fit_bag_of_words(texts, pairs, np.eye(2)[[0, 1] * 8])
    assert found.probs(["cat", "dog"], ["dog", "cat"]).argmax(axis=1).tolist() == [0, 1]


@pytest.mark.parametrize("texts", [["!", "?"] * 4, ["你好", "再见"] * 4, ["a", "b"] * 4])
def test_texts_without_words_of_two_letters_are_read(texts: list[str]) -> None:
    found = fit_bag_of_words(texts, None, np.eye(2)[[0, 1] * 4]).probs(texts[:2])
    assert found.argmax(axis=1).tolist() == [0, 1]


def test_a_single_label_is_all_it_answers() -> None:
    found = fit_bag_of_words(["one", "two"], None, np.eye(3)[[1, 1]]).probs(["three"])
    assert found.tolist() == [[0.0, 1.0, 0.0]]
    assert fit_bag_of_words(["one", "two"], None, np.eye(3)[[1, 1]]).probs([]).shape == (0, 3)
