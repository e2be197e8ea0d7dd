"""F1 of sets: cases counted by hand, figures of other libraries, and scikit-learn's for rows with several labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from limbeck.data.tagging.scheme import Scheme, Span, spans_of
from limbeck.evaluation.f1_of_sets import entity_counts, f1, label_counts, macro_f1, micro_f1, precision, recall

LABELS = ["A", "B"]


def counts(gold: list[str], predicted: list[str], scheme: Scheme = "bio") -> np.ndarray:
    """Counts of rows that are written as tags."""
    sides = ([spans_of(row.split(), scheme) for row in side] for side in (gold, predicted))
    return entity_counts(*sides, LABELS)


def test_counts_of_a_row_by_hand() -> None:
    gold = [Span(0, 2, "A"), Span(3, 4, "B"), Span(5, 6, "B")]
    given_ = [Span(0, 2, "A"), Span(3, 5, "B"), Span(5, 6, "A")]
    assert entity_counts([gold], [given_], LABELS).tolist() == [[[1, 2, 1], [0, 1, 2]]]


def test_an_entity_is_right_once() -> None:
    twice = [Span(0, 1, "A")] * 2
    assert entity_counts([[Span(0, 1, "A")]], [twice], LABELS)[0, 0].tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    ("gold", "predicted", "scheme", "expected"),
    [
        ("B-A I-A O", "B-A I-A O", "bio", 1.0),
        ("B-A I-A O", "B-A O O", "bio", 0.0),
        ("B-A B-A O", "B-A I-A O", "bio", 0.0),
        ("O I-A I-B", "O B-A B-B", "bio", 1.0),
        ("B-A I-B", "B-A B-B", "bio", 1.0),
        ("B-A O B-B O", "B-A O B-A O", "bio", 0.5),
        ("B-A E-A O S-B", "B-A E-A O S-B", "bioes", 1.0),
        ("S-A S-A O", "S-A S-A O", "bioes", 1.0),
        # nervaluate 1.2.1 takes these for the same entity, and refuses S- as no tag at all.
        ("B-A E-A S-A", "B-A I-A I-A", "bioes", 0.0),
        ("O O", "O O", "bio", 0.0),
    ],
)
def test_micro_f1_is_that_of_seqeval(gold: str, predicted: str, scheme: Scheme, expected: float) -> None:
    """Expected: what seqeval 1.2.2 (its default mode, conlleval's) gives for these two sentences."""
    assert micro_f1(counts([gold], [predicted], scheme).sum(axis=0)) == pytest.approx(expected)


def test_figures_of_a_small_set_are_those_of_seqeval_and_nervaluate() -> None:
    """Both give the same here; nervaluate's are those of its strategy "strict"."""
    gold = ["B-A I-A O B-B", "O B-A O O", "B-B I-B I-B O", "O O O O"]
    predicted = ["B-A I-A O B-A", "O B-A I-A O", "B-B I-B I-B O", "B-B O O O"]
    total = counts(gold, predicted).sum(axis=0)
    assert precision(total.sum(axis=0)) == pytest.approx(0.4)
    assert recall(total.sum(axis=0)) == pytest.approx(0.5)
    assert micro_f1(total) == pytest.approx(0.4444444444)
    assert f1(total) == pytest.approx([0.4, 0.5])
    assert macro_f1(total) == pytest.approx(0.45)


def test_a_label_that_is_gold_nowhere_is_not_in_the_macro_average() -> None:
    total = counts(["B-A O"], ["B-A B-B"]).sum(axis=0)
    assert macro_f1(total) == 1.0
    assert micro_f1(total) == pytest.approx(2 / 3)
    assert macro_f1(counts(["O"], ["O"]).sum(axis=0)) == 0.0


@given(data=st.data())
def test_rows_with_several_labels_as_scikit_learn_counts_them(data: st.DataObject) -> None:
    rows, classes = data.draw(st.integers(1, 8)), data.draw(st.integers(2, 4))
    draw = st.lists(st.lists(st.booleans(), min_size=classes, max_size=classes), min_size=rows, max_size=rows)
    gold, predicted = (np.array(data.draw(draw)) for _ in range(2))
    total = label_counts(gold, predicted).sum(axis=0)
    assert micro_f1(total) == pytest.approx(f1_score(gold, predicted, average="micro", zero_division=0))
    assert f1(total) == pytest.approx(f1_score(gold, predicted, average=None, zero_division=0))
    assert precision(total) == pytest.approx(precision_score(gold, predicted, average=None, zero_division=0))
    assert recall(total) == pytest.approx(recall_score(gold, predicted, average=None, zero_division=0))
    there = gold.any(axis=0)
    of_gold = f1(total)[there].mean() if there.any() else 0.0
    assert macro_f1(total) == pytest.approx(of_gold)


def test_means_over_rows_give_the_same_figures_as_sums() -> None:
    each = counts(["B-A I-A O B-B", "O B-A O O"], ["B-A I-A O B-A", "O B-A I-A O"])
    assert micro_f1(each.mean(axis=0)) == pytest.approx(micro_f1(each.sum(axis=0)))
    assert macro_f1(np.stack([each.mean(axis=0), each.sum(axis=0)])) == pytest.approx(
        np.repeat(macro_f1(each.sum(axis=0)), 2)
    )
