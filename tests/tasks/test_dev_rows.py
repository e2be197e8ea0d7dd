"""Development rows: how many are kept back, of which classes, and what is said where there are too few."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.tasks.test_baselines import CLASSIFIER

from limbeck.errors import DataError
from limbeck.runs.config import run_config
from limbeck.tasks.dev_rows import dev_count, kept_back, overlap_warnings, require_gold, search_notes


@pytest.mark.parametrize(("labelled", "count"), [(40, 20), (200, 20), (205, 20), (1000, 100)])
def test_a_tenth_but_at_least_20(labelled: int, count: int) -> None:
    assert dev_count(labelled, labelled, "") == count
    assert len(kept_back([0] * labelled)) == count


def test_classes_are_drawn_from_in_proportion_and_the_same_rows_every_time() -> None:
    classes: list[Any] = ["common"] * 600 + [None] * 500 + ["rare"] * 300 + ["rarer"] * 100 + ["once"]
    rows = kept_back(classes)
    assert rows == sorted(set(rows)) == kept_back(classes)
    counts = Counter(classes[row] for row in rows)
    assert counts.total() == 100
    assert counts["common"] == pytest.approx(60, abs=1)
    assert counts["rare"] == pytest.approx(30, abs=1)
    assert counts["rarer"] == pytest.approx(10, abs=1)


def test_a_class_keeps_a_row_to_be_learnt_from() -> None:
    classes = [name for name in "abcdefghijklmnopqrst" for _ in range(2)]
    assert Counter(classes[row] for row in kept_back(classes)) == dict.fromkeys("abcdefghijklmnopqrst", 1)


@pytest.mark.parametrize("classes", [[0] * 39 + [None] * 1000, list(range(1000))])
def test_too_few_labelled_rows(classes: list[Any]) -> None:
    with pytest.raises(DataError, match=r"there are \d+: give data\.dev, more labelled rows, or training\.learning_r"):
        kept_back(classes)


def test_early_stopping_can_be_left_out() -> None:
    with pytest.raises(DataError, match=r"^early_stopping keeps 20 .* or leave early_stopping out$"):
        kept_back([0] * 30, "early_stopping")
    with pytest.raises(DataError, match="so early_stopping cannot choose by them"):
        require_gold([False], "early_stopping")


@pytest.mark.parametrize("classes", [[], [None] * 50])
def test_no_labelled_row(classes: list[Any]) -> None:
    with pytest.raises(DataError, match=r"no training row is labelled\. Check the fields of task, or give data\.dev"):
        kept_back(classes)


def test_development_rows_without_labels() -> None:
    require_gold([False, True])
    with pytest.raises(DataError, match=r"none of the 2 rows of data\.dev has a label"):
        require_gold([False, False])


def test_what_the_doctor_says() -> None:
    assert search_notes(run_config(CLASSIFIER), 20) == []
    (note,) = search_notes(run_config({**CLASSIFIER, "search": {"learning_rate": [3e-5, 1e-5]}}), 20)
    assert note.level == "note"
    assert note.message.startswith("every student is trained with 1e-05, 3e-05, and the best on 20 development rows")
    both = {"learning_rate": [3e-5, 1e-5], "loss_temperature": [4, 1]}
    (note,) = search_notes(run_config({**CLASSIFIER, "search": both}), 20)
    assert "trained with 1e-05, 3e-05, each at the loss temperatures 1, 4 (or with other rates between" in note.message


def test_only_the_users_own_development_rows_are_compared_with_the_training_rows() -> None:
    own = run_config(CLASSIFIER | {"data": {"train": "a.jsonl", "dev": "b.jsonl"}})
    (warning,) = overlap_warnings(own, ["a", "b", "b"], ["b", "c", "b"])
    assert warning.startswith("2 texts of data.dev also occur in the training rows; ")
    assert overlap_warnings(own, ["a"], ["a"])[0].startswith("1 text of data.dev also occurs ")
    assert overlap_warnings(own, ["a"], ["c"]) == overlap_warnings(own, ["a"], None) == []
    assert overlap_warnings(run_config(CLASSIFIER), ["a"], ["a"]) == [], (
        "kept back: repeats are the training rows' own"
    )
