"""Sensitivity and specificity: a worked example, scikit-learn, identities, and the lower bound of specificity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    matthews_corrcoef,
    multilabel_confusion_matrix,
    recall_score,
)

from limbeck.evaluation.one_vs_rest import (
    OneVsRest,
    class_columns,
    count_one_vs_rest,
    from_sums,
    mean_over_classes,
)

EXAMPLE = np.array([[50, 8, 2], [10, 30, 10], [5, 5, 40]])

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


def labels_of(matrix: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    gold, predicted = np.indices(matrix.shape).reshape(2, -1)
    return np.repeat(gold, matrix.ravel()), np.repeat(predicted, matrix.ravel())


def from_confusion(rows_CC: NDArray[np.int64], unanswered_C: NDArray[np.int64] | None = None) -> OneVsRest:
    """Count from confusion matrices ``[..., C, C]``: rows of class i that were called j, and those not answered."""
    rows = np.asarray(rows_CC, dtype=np.float64)
    hits = np.diagonal(rows, axis1=-2, axis2=-1)
    of_class, called = rows.sum(-1), rows.sum(-2)
    others = rows.sum((-2, -1))[..., None] - of_class
    missed = of_class - hits + (0 if unanswered_C is None else unanswered_C)
    return OneVsRest(hits, missed, called - hits, others - (called - hits))


def both_ways(matrix: NDArray[np.int64]) -> list[OneVsRest]:
    gold, predicted = labels_of(matrix)
    sums = class_columns(gold, predicted, len(matrix)).sum(axis=0)
    return [from_confusion(matrix), count_one_vs_rest(gold, predicted, len(matrix)), from_sums(sums)]


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(rows)
def test_the_correlation_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    gold, predicted = np.array(pairs).T
    found = count_one_vs_rest(gold, predicted, 4).matthews_correlation
    assert found == pytest.approx(matthews_corrcoef(gold, predicted), abs=1e-12)


@pytest.mark.parametrize("found", both_ways(EXAMPLE), ids=["matrix", "labels", "sums"])
def test_the_worked_example(found: OneVsRest) -> None:
    assert found.accuracy == pytest.approx(0.75)
    assert found.sensitivity == pytest.approx([0.833333, 0.6, 0.8], abs=1e-6)
    assert found.specificity == pytest.approx([0.85, 0.881818, 0.890909], abs=1e-6)
    assert found.f1 == pytest.approx([0.8, 0.645161, 0.784314], abs=1e-6)
    assert mean_over_classes(found.sensitivity) == pytest.approx(0.744444, abs=1e-6)
    assert mean_over_classes(found.specificity) == pytest.approx(0.874242, abs=1e-6)
    assert mean_over_classes(found.f1) == pytest.approx(0.743158, abs=1e-6)


@given(rows)
def test_identities_and_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    gold, predicted = np.array(pairs, dtype=np.int64).T
    found = count_one_vs_rest(gold, predicted, 4)
    present = np.unique(gold)
    accuracy = (gold == predicted).mean()
    assert found.accuracy == pytest.approx(accuracy)
    assert found.micro_f1 == pytest.approx(accuracy)
    assert mean_over_classes(found.sensitivity, found.weights) == pytest.approx(accuracy)
    assert mean_over_classes(found.sensitivity) == pytest.approx(
        recall_score(gold, predicted, labels=present, average="macro", zero_division=0)
    )
    if set(predicted) <= set(gold) and len(present) > 1:  # scikit-learn warns of the others
        assert mean_over_classes(found.sensitivity) == pytest.approx(balanced_accuracy_score(gold, predicted))
    assert mean_over_classes(found.f1, found.weights) == pytest.approx(
        f1_score(gold, predicted, labels=present, average="weighted", zero_division=0)
    )
    per_class = multilabel_confusion_matrix(gold, predicted, labels=range(4))
    counts = [found.true_negatives, found.false_positives, found.false_negatives, found.true_positives]
    assert np.stack(counts, axis=-1).reshape(4, 2, 2) == pytest.approx(per_class)


@pytest.mark.parametrize("classes", [3, 4, 5])
def test_macro_specificity_has_a_lower_bound_on_random_matrices(classes: int) -> None:
    rng = np.random.default_rng(classes)
    # Many shapes: from even matrices to ones with nearly all rows in a few cells.
    scale = 10.0 ** rng.uniform(-1, 3, (200_000, 1, 1))
    matrices = np.floor(rng.exponential(size=(200_000, classes, classes)) ** 3 * scale).astype(np.int64)
    matrices = matrices[(matrices.sum(-1) > 0).all(-1)]
    assert len(matrices) > 100_000
    found = from_confusion(matrices)
    bound = (classes - 2 + found.accuracy) / classes
    assert (mean_over_classes(found.specificity) >= bound - 1e-12).all()


def lowest_specificity(priors: NDArray[np.float64], accuracy: float) -> float:
    """Least macro specificity of any matrix with these shares of classes and this accuracy, by linear programming."""
    classes = len(priors)
    # The mean of 1 - FP_c / (1 - prior_c): a cell off the diagonal costs 1 / (classes (1 - prior_column)).
    cost = np.tile(-1 / (classes * (1 - priors)), (classes, 1))
    np.fill_diagonal(cost, 0)
    row_sums = np.repeat(np.eye(classes), classes, axis=1)
    diagonal = np.eye(classes).ravel()[None]
    worst = linprog(cost.ravel(), A_eq=np.vstack([row_sums, diagonal]), b_eq=[*priors, accuracy], bounds=(0, None))
    assert worst.status == 0
    return 1 + float(worst.fun)


def all_priors(classes: int) -> list[NDArray[np.float64]]:
    drawn = np.maximum(np.random.default_rng(classes).dirichlet(np.full(classes, 0.4), 12), 1e-4)
    return [*(drawn / drawn.sum(axis=1, keepdims=True)), np.full(classes, 1 / classes)]


@pytest.mark.parametrize("classes", [3, 4, 5])
def test_no_confusion_matrix_has_a_lower_macro_specificity(classes: int) -> None:
    for priors in all_priors(classes):
        for accuracy in (0.0, 0.3, 0.7, 0.95):
            assert lowest_specificity(priors, accuracy) >= (classes - 2 + accuracy) / classes - 1e-9


@pytest.mark.parametrize(
    ("accuracy", "published", "bound"),
    [
        pytest.param(46.92, 39.38, 48.97, id="OPT student"),
        pytest.param(53.89, 48.47, 51.30, id="GPT-2 teacher"),
        pytest.param(34.70, 38.07, 44.90, id="GPT-2 student"),
        pytest.param(42.92, 41.06, 47.64, id="GPT-2 full distillation"),
        pytest.param(40.68, 38.80, 46.89, id="GPT-2 ANON"),
    ],
)
def test_five_specificities_of_the_papers_table_2_are_none(accuracy: float, published: float, bound: float) -> None:
    assert (100 + accuracy) / 3 == pytest.approx(bound, abs=0.006)
    assert (
        min(100 * lowest_specificity(priors, accuracy / 100) for priors in all_priors(3)) >= bound - 0.006 > published
    )


def test_the_bound_is_nearly_reached_where_all_is_called_by_one_large_class() -> None:
    matrix = np.array([[10**7, 0, 0], [1, 0, 0], [1, 0, 0]])
    found = from_confusion(matrix)
    assert mean_over_classes(found.specificity) == pytest.approx((1 + float(found.accuracy)) / 3, abs=1e-6)


def test_a_class_without_rows_is_left_out_of_sensitivity_and_f1() -> None:
    found = count_one_vs_rest(np.array([0, 0, 1]), np.array([0, 2, 1]), 3)
    assert np.isnan(found.sensitivity[2])
    assert np.isnan(found.f1[2])
    assert mean_over_classes(found.sensitivity) == pytest.approx((0.5 + 1) / 2)
    assert found.specificity == pytest.approx([1, 1, 2 / 3])


def test_specificity_is_undefined_where_all_rows_are_of_the_class() -> None:
    found = count_one_vs_rest(np.array([1, 1]), np.array([1, 0]), 2)
    assert np.isnan(found.specificity[1])
    assert found.specificity[0] == 0.5


def test_a_row_without_an_answer_is_missed_by_its_class_and_nothing_to_the_others() -> None:
    gold, predicted = labels_of(EXAMPLE)
    unanswered = np.array([2, 0, 1])
    gold = np.concatenate([gold, np.repeat(np.arange(3), unanswered)])
    predicted = np.concatenate([predicted, np.full(3, -1)])
    plain = from_confusion(EXAMPLE)
    for found in (count_one_vs_rest(gold, predicted, 3), from_confusion(EXAMPLE, unanswered)):
        assert found.false_negatives == pytest.approx(plain.false_negatives + unanswered)
        assert found.false_positives == pytest.approx(plain.false_positives)
        assert found.true_negatives == pytest.approx(plain.true_negatives)
        assert found.accuracy == pytest.approx(120 / 163)
        assert found.sensitivity == pytest.approx([50 / 62, 0.6, 40 / 51])
        assert found.micro_f1 == pytest.approx(240 / (240 + 40 + 43))


def test_many_samples_at_once_are_as_one_by_one() -> None:
    gold, predicted = np.random.default_rng(0).integers(0, 5, (2, 4, 3, 9))
    predicted[0, 0, :4] = -1
    many = count_one_vs_rest(gold, predicted, 5)
    for i in range(4):
        for j in range(3):
            one = count_one_vs_rest(gold[i, j], predicted[i, j], 5)
            for field, values in many._asdict().items():
                assert values[i, j] == pytest.approx(getattr(one, field))
