"""Accuracy figures against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_recall_fscore_support

from limbeck.evaluation.accuracy import (
    class_figures,
    confusion_of_worst_classes,
    macro_f1,
)

label = st.integers(0, 4)


@given(st.lists(st.tuples(label, label), min_size=1, max_size=40))
def test_macro_f1_is_scikit_learns_over_the_classes_present(rows: list[tuple[int, int]]) -> None:
    gold, predicted = np.array(rows, dtype=np.int64).T
    expected = f1_score(gold, predicted, labels=np.unique(gold), average="macro", zero_division=0)
    assert macro_f1(gold, predicted, classes=5) == pytest.approx(expected)


def test_macro_f1_by_hand() -> None:
    gold, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 3])
    assert macro_f1(gold, predicted, classes=4) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_macro_f1_of_many_samples_at_once_is_that_of_each() -> None:
    gold, predicted = np.random.default_rng(0).integers(0, 5, (2, 4, 3, 9))
    many = macro_f1(gold, predicted, classes=5)
    assert many.shape == (4, 3)
    for i in range(4):
        for j in range(3):
            assert many[i, j] == pytest.approx(macro_f1(gold[i, j], predicted[i, j], classes=5))


def test_class_figures_by_hand() -> None:
    gold, predicted = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 0])
    found = class_figures(gold, predicted, 3)
    assert found["precision"] == pytest.approx([2 / 3, 0.5, 0])
    assert found["sensitivity"] == pytest.approx([2 / 3, 0.5, 0])
    assert found["f1"] == pytest.approx([2 / 3, 0.5, 0])
    assert found["specificity"] == pytest.approx([0.5, 2 / 3, 1])


@given(st.lists(st.tuples(label, label), min_size=1, max_size=40))
def test_class_figures_are_scikit_learns(rows: list[tuple[int, int]]) -> None:
    gold, predicted = np.array(rows, dtype=np.int64).T
    found = class_figures(gold, predicted, 5)
    expected = precision_recall_fscore_support(gold, predicted, labels=range(5), zero_division=0)
    assert [found[name] for name in ("precision", "sensitivity", "f1")] == [pytest.approx(e) for e in expected[:3]]


def test_the_specificity_of_the_only_class_with_rows_is_undefined() -> None:
    only, other = class_figures(np.array([0, 0]), np.array([0, 1]), 2)["specificity"]
    assert np.isnan(only)
    assert other == 0.5


def test_confusion_of_few_classes_is_complete() -> None:
    gold, predicted = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 0, 0])
    matrix = confusion_of_worst_classes(gold, predicted, ["a", "b"])
    assert matrix.labels == ["a", "b"]
    assert matrix.rows == [[1, 1], [2, 1]]


def test_confusion_of_many_classes_shows_the_worst_ten_and_puts_the_others_together() -> None:
    labels = [f"c{i:02d}" for i in range(13)]
    gold = np.repeat(np.arange(13), 4)
    predicted = gold.copy()
    for wrong in (0, 2, 4, 6):  # classes 0 to 7 have errors, and 12
        predicted[4 * wrong] = wrong + 1
    predicted[4 * 12] = 0
    matrix = confusion_of_worst_classes(gold, predicted, labels)
    assert matrix.labels == [*(f"c{i:02d}" for i in range(9)), "c12", "(other)"]
    assert np.sum(matrix.rows) == len(gold)
    first, second = matrix.labels.index("c00"), matrix.labels.index("c01")
    assert matrix.rows[first][second] == 1
    assert matrix.rows[matrix.labels.index("c12")][first] == 1
    right = sum(matrix.rows[i][i] for i in range(10))
    assert right == sum((gold == predicted)[gold == labels.index(name)].sum() for name in matrix.labels[:-1])
