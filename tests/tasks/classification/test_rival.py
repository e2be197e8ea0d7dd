"""A teacher against a bag of words, on rows whose words tell the labels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from limbeck.tasks.classification import rival
from limbeck.tasks.classification.rival import Rival, bag_of_words_rival
from limbeck.tasks.classification.rows import RunRows
from limbeck.types import UNLABELLED, Origin, Rows

WORDS = ["refund money back", "parcel lost post", "password login account"]
TRAIN, TEST = 60, 30


def texts(count: int, seed: int) -> tuple[Rows, NDArray[np.int64]]:
    """Texts that name their topic, and then a number."""
    gold = np.random.default_rng(seed).integers(0, len(WORDS), count)
    found = [f"{WORDS[label]} {seed}{n}" for n, label in enumerate(gold)]
    return Rows(found, None, [str(label) for label in gold], [Origin("a", n) for n in range(count)]), gold


def rows(labelled: int = TRAIN, held_out: bool = True) -> RunRows:
    (train, gold), (test, test_gold) = texts(TRAIN, 0), texts(TEST, 1)
    gold[labelled:] = UNLABELLED
    return RunRows(
        train, test, ["0", "1", "2"], gold, test_gold if held_out else np.full(TEST, UNLABELLED), 0, {"train": ""}
    )


def guesses(gold: NDArray[np.int64], wrong: int) -> NDArray[np.int64]:
    given = gold.copy()
    given[:wrong] = (given[:wrong] + 1) % 3
    return given


@pytest.mark.parametrize("wrong", [0, 9])
def test_words_that_tell_the_label_are_hard_to_beat(wrong: int) -> None:
    run = rows()
    found = bag_of_words_rival(run, guesses(run.train_labels, 30), guesses(run.test_labels, wrong))
    assert found is not None
    assert (found.rows, found.learned, found.held_out) == (TEST, TRAIN, True)
    assert (found.teacher, found.bag_of_words) == (1 - wrong / TEST, 1.0)
    assert not found.is_beaten


def test_words_that_do_not_are_easy_to_beat() -> None:
    run = rows()
    run.test.text[:] = ["nothing"] * TEST
    found = bag_of_words_rival(run, run.train_labels, guesses(run.test_labels, 9))
    assert found is not None
    assert found.is_beaten
    assert found.bag_of_words < 0.6


def test_without_held_out_labels_it_is_cross_validated() -> None:
    """A bag of words that learned a number for each row would be right on all; one that did not is on none."""
    run = rows(held_out=False)
    numbers = Rows([f"{n}" for n in range(TRAIN)], None, run.train.label, run.train.origin)
    for train, least, most in ((run.train, 1.0, 1.0), (numbers, 0.0, 0.6)):
        one = RunRows(train, run.test, run.labels, run.train_labels, run.test_labels, 0, {})
        found = bag_of_words_rival(one, guesses(run.train_labels, 3), np.full(TEST, UNLABELLED))
        assert found is not None
        assert (found.teacher, found.held_out) == (pytest.approx(57 / 60), False)
        assert least <= found.bag_of_words <= most


def test_only_rows_that_the_teacher_answered_are_compared() -> None:
    run = rows(labelled=40)
    answered = np.where(np.arange(TEST) < 10, run.test_labels, -1)
    found = bag_of_words_rival(run, np.full(TRAIN, -1), answered)
    assert found is not None
    assert (found.rows, found.learned) == (10, 40)
    silent = np.full(TEST, -1)
    trained = bag_of_words_rival(run, np.where(np.arange(TRAIN) < 25, guesses(run.train_labels, 5), -1), silent)
    assert trained is not None
    assert (trained.rows, trained.teacher) == (25, 0.8)
    assert bag_of_words_rival(run, np.full(TRAIN, -1), silent) is None


@pytest.mark.parametrize("labelled", [0, 19])
def test_a_few_labels_tell_nothing(labelled: int) -> None:
    run = rows(labelled=labelled)
    assert bag_of_words_rival(run, run.train_labels, run.test_labels) is None


def test_one_label_tells_nothing() -> None:
    run = rows()
    run.train_labels[:] = 1
    assert bag_of_words_rival(run, run.train_labels, run.test_labels) is None


def test_people_do_not_wait_for_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rival, "_MOST_ROWS", 25)
    run = rows()
    found = bag_of_words_rival(run, run.train_labels, run.test_labels)
    assert found is not None
    assert found.learned == 25


def test_in_words() -> None:
    assert str(Rival(0.565, 0.685, 3080, 770, held_out=True)) == (
        "right on 56.5 % of 3080 labelled held-out rows; a bag of words (TF-IDF + logistic regression) that learns "
        "770 labelled rows on 68.5 %"
    )
    assert str(Rival(0.5, 0.5, 20, 20, held_out=False)).endswith("on 50.0 % by cross-validation")
