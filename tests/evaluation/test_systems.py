"""Figures of one system and of two, on rows made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from limbeck.evaluation.one_vs_rest import count_one_vs_rest
from limbeck.evaluation.predict import softmax
from limbeck.evaluation.systems import (
    HeldOut,
    Predictions,
    always_the_most_frequent,
    compare,
    describe,
    describe_constant,
    disagreements,
)
from limbeck.results import Speed, SystemName
from limbeck.types import Origin, Rows

LABELS = ["a", "b", "c"]
ROWS = 60
RNG = np.random.default_rng(0)
GOLD = RNG.integers(0, 3, ROWS)
GOLD[:6] = -100  # unlabelled
SPEED = Speed(
    parameters=10,
    size_bytes=40,
    latency_ms_median=1.0,
    latency_ms_p95=2.0,
    throughput_rows_per_second=100.0,
    batch_size=32,
    peak_memory_bytes=1000,
)


def held_out(gold: NDArray[np.int64] = GOLD) -> HeldOut:
    names = [LABELS[g] if g >= 0 else None for g in gold]
    return HeldOut(
        Rows([f"row {i}" for i in range(ROWS)], None, names, [Origin("a", i) for i in range(ROWS)]), gold, LABELS
    )


def logits_with_errors(errors: int, seed: int) -> NDArray[np.float32]:
    """Logits that are wrong on `errors` of the labelled rows and sure of what they say."""
    rng = np.random.default_rng(seed)
    said = np.where(GOLD >= 0, GOLD, 0)
    wrong = 6 + rng.permutation(ROWS - 6)[:errors]
    said[wrong] = (said[wrong] + 1) % 3
    logits = rng.normal(0, 0.1, (ROWS, 3))
    logits[np.arange(ROWS), said] += 3
    return logits.astype(np.float32)


def system(name: SystemName, errors: dict[int, int]) -> Predictions:
    logits = {seed: logits_with_errors(n, 10 * n + seed) for seed, n in errors.items()}
    return Predictions(name, name.title(), "detail", 2, logits)


TEACHER = system("teacher", {5: 4})
DISTILLED = system("distilled", {0: 6, 1: 8, 2: 10})
FINE_TUNED = system("fine_tuned", {0: 20, 1: 21, 2: 22})


def accuracy(logits: NDArray[np.float32]) -> float:
    return float((logits.argmax(-1) == GOLD)[GOLD >= 0].mean())


def test_figures_are_means_over_seeds_on_labelled_rows() -> None:
    found = describe(DISTILLED, TEACHER, held_out(), SPEED)
    assert found.accuracy is not None
    assert found.accuracy.value == pytest.approx(1 - 8 / 54)
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high
    assert [figures.seed for figures in found.seeds] == [0, 1, 2]
    assert [figures.accuracy for figures in found.seeds] == pytest.approx([48 / 54, 46 / 54, 44 / 54])
    assert found.macro_f1 is not None
    assert found.macro_f1.value == pytest.approx(np.mean([figures.macro_f1 for figures in found.seeds]))
    assert found.sensitivity is not None
    assert found.specificity is not None
    by_seed = [
        count_one_vs_rest(GOLD[GOLD >= 0], logits.argmax(-1)[GOLD >= 0], 3) for logits in DISTILLED.logits.values()
    ]
    assert [figures.sensitivity for figures in found.seeds] == pytest.approx([x.sensitivity.mean() for x in by_seed])
    assert found.specificity.value == pytest.approx(np.mean([x.specificity.mean() for x in by_seed]))
    assert found.sensitivity.low < found.sensitivity.value < found.sensitivity.high
    log_probs = [x - np.log(np.exp(x.astype(float)).sum(-1, keepdims=True)) for x in DISTILLED.logits.values()]
    gold_rows = np.flatnonzero(GOLD >= 0)
    losses = [-log_prob[gold_rows, GOLD[gold_rows]].mean() for log_prob in log_probs]
    assert found.loss_nats == pytest.approx(np.mean(losses), rel=1e-5)
    assert (found.name, found.title, found.detail, found.layers, found.speed) == (
        "distilled",
        "Distilled",
        "detail",
        2,
        SPEED,
    )


def test_fidelity_is_measured_on_all_rows_labelled_or_not() -> None:
    found = describe(DISTILLED, TEACHER, held_out(), SPEED)
    teacher = TEACHER.logits[5]
    agreements = [(x.argmax(-1) == teacher.argmax(-1)).mean() for x in DISTILLED.logits.values()]
    assert found.agreement is not None
    assert found.agreement.value == pytest.approx(np.mean(agreements))
    assert [figures.agreement for figures in found.seeds] == pytest.approx(agreements)
    p = np.exp(teacher.astype(float))
    p /= p.sum(-1, keepdims=True)
    divergences = []
    for x in DISTILLED.logits.values():
        q = np.exp(x.astype(float))
        q /= q.sum(-1, keepdims=True)
        divergences.append((p * np.log(p / q)).sum(-1).mean())
    assert found.kl_to_teacher_nats is not None
    assert found.kl_to_teacher_nats.value == pytest.approx(np.mean(divergences), rel=1e-5)


def test_class_figures_reliability_and_confusion_pool_the_seeds() -> None:
    found = describe(DISTILLED, TEACHER, held_out(), SPEED)
    assert [figures.label for figures in found.per_class] == LABELS
    assert [figures.rows for figures in found.per_class] == [3 * int(n) for n in np.bincount(GOLD[GOLD >= 0])]
    assert sum(b.rows for b in found.reliability) == 3 * 54
    assert found.confusion is not None
    assert np.sum(found.confusion.rows) == 3 * 54
    assert np.trace(np.array(found.confusion.rows)) == 3 * 54 - 24
    assert found.expected_calibration_error is not None
    assert 0 < found.expected_calibration_error < 1


def test_the_teacher_has_no_fidelity_to_itself() -> None:
    found = describe(TEACHER, None, held_out(), SPEED)
    assert found.agreement is None
    assert found.kl_to_teacher_nats is None
    assert found.accuracy is not None
    assert (found.seeds[0].agreement, found.seeds[0].kl_to_teacher_nats) == (None, None)


def test_without_labels_only_fidelity_is_known() -> None:
    found = describe(DISTILLED, TEACHER, held_out(np.full(ROWS, -100)), SPEED)
    assert (found.accuracy, found.macro_f1, found.loss_nats, found.expected_calibration_error) == (None,) * 4
    assert (found.per_class, found.reliability, found.confusion) == ([], [], None)
    assert found.agreement is not None
    assert [figures.accuracy for figures in found.seeds] == [None] * 3
    assert None not in [figures.agreement for figures in found.seeds]


def test_a_sure_mistake_has_a_finite_loss() -> None:
    logits = np.zeros((ROWS, 3), dtype=np.float32)
    logits[:, 0] = 1e6
    found = describe(Predictions("distilled", "", "", 2, {0: logits}), TEACHER, held_out(), SPEED)
    assert found.loss_nats is not None
    assert math.isfinite(found.loss_nats)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "agreement"])
def test_the_difference_is_that_of_the_figures_seed_by_seed(metric: str) -> None:
    found = compare(DISTILLED, FINE_TUNED, TEACHER, held_out(), metric)
    first, second = (describe(s, TEACHER, held_out(), SPEED) for s in (DISTILLED, FINE_TUNED))
    of_first, of_second = (getattr(s, metric) for s in (first, second))
    assert found.difference.value == pytest.approx(of_first.value - of_second.value)
    assert found.per_seed_difference == pytest.approx(
        [getattr(a, metric) - getattr(b, metric) for a, b in zip(first.seeds, second.seeds, strict=True)]
    )
    assert found.difference.low < found.difference.value < found.difference.high
    assert (found.first, found.second, found.metric) == ("distilled", "fine_tuned", metric)
    assert found.bootstrap_p_value < 0.05
    assert found.t_test_p_value is not None
    assert found.t_test_p_value < 0.05


def test_the_other_way_round_is_the_negative_with_the_same_p_values() -> None:
    one, other = (
        compare(a, b, TEACHER, held_out(), "accuracy") for a, b in [(DISTILLED, FINE_TUNED), (FINE_TUNED, DISTILLED)]
    )
    assert other.difference.value == pytest.approx(-one.difference.value)
    assert other.difference.low == pytest.approx(-one.difference.high)
    assert other.bootstrap_p_value == pytest.approx(one.bootstrap_p_value)
    assert [m.p_value for m in other.mcnemar] == pytest.approx([m.p_value for m in one.mcnemar])


def test_mcnemar_counts_rows_that_one_has_right_for_accuracy_alone() -> None:
    found = compare(DISTILLED, FINE_TUNED, TEACHER, held_out(), "accuracy")
    assert [m.seed for m in found.mcnemar] == [0, 1, 2]
    for m, difference in zip(found.mcnemar, found.per_seed_difference, strict=True):
        assert (m.only_first_right - m.only_second_right) / 54 == pytest.approx(difference)
        assert m.p_value < 0.05
    assert compare(DISTILLED, FINE_TUNED, TEACHER, held_out(), "macro_f1").mcnemar == []
    assert compare(DISTILLED, FINE_TUNED, TEACHER, held_out(), "agreement").mcnemar == []


def test_identical_systems_do_not_differ() -> None:
    twin = Predictions("fine_tuned", "", "", 2, DISTILLED.logits)
    found = compare(DISTILLED, twin, TEACHER, held_out(), "accuracy")
    assert (found.difference.value, found.difference.low, found.difference.high) == (0, 0, 0)
    assert found.bootstrap_p_value == 1
    assert [m.p_value for m in found.mcnemar] == [1, 1, 1]
    assert found.t_test_p_value is None


def test_pairing_makes_the_interval_narrower_than_that_of_two_unpaired_samples() -> None:
    """Two systems with nearly the same mistakes differ by little, however uncertain each one's accuracy is."""
    nearly = DISTILLED.logits[0].copy()
    wrong = np.flatnonzero((nearly.argmax(-1) != GOLD) & (GOLD >= 0))[0]
    nearly[wrong] = 0
    nearly[wrong, GOLD[wrong]] = 3
    first, second = (Predictions("distilled", "", "", 2, {0: x}) for x in (nearly, DISTILLED.logits[0]))
    found = compare(first, second, TEACHER, held_out(), "accuracy").difference
    alone = describe(first, TEACHER, held_out(), SPEED).accuracy
    assert alone is not None
    assert found.high - found.low < 0.5 * (alone.high - alone.low)


def test_intervals_are_the_same_every_time() -> None:
    assert compare(DISTILLED, FINE_TUNED, TEACHER, held_out(), "accuracy") == compare(
        DISTILLED, FINE_TUNED, TEACHER, held_out(), "accuracy"
    )


@pytest.mark.parametrize("teachers_seed", [0, 5])
def test_a_teacher_of_one_seed_is_compared_with_every_student(teachers_seed: int) -> None:
    teacher = Predictions("teacher", "", "", 4, {teachers_seed: TEACHER.logits[5]})
    found = compare(DISTILLED, teacher, teacher, held_out(), "accuracy")
    expected = [accuracy(x) - accuracy(TEACHER.logits[5]) for x in DISTILLED.logits.values()]
    assert found.difference.value == pytest.approx(np.mean(expected))
    assert sorted(found.per_seed_difference) == pytest.approx(sorted(expected))
    assert len(found.mcnemar) == 3


def test_disagreements_show_the_surest_students_first() -> None:
    teacher, student = TEACHER.logits[5], DISTILLED.logits[0].copy()
    rows = np.flatnonzero(teacher.argmax(-1) != student.argmax(-1))
    student[rows[3]] *= 3
    found = disagreements(Predictions("distilled", "", "", 2, {0: student}), TEACHER, held_out())
    assert {d.text for d in found} == {f"row {i}" for i in rows}
    assert found[0].text == f"row {rows[3]}"
    confidences = [d.student_confidence for d in found]
    assert confidences == sorted(confidences, reverse=True)
    for d in found:
        row = int(d.text.split()[1])
        assert d.teacher_label == LABELS[teacher[row].argmax()]
        assert d.student_label == LABELS[student[row].argmax()]
        assert d.teacher_confidence == pytest.approx(softmax(teacher)[row].max())
        assert d.student_confidence == pytest.approx(softmax(student)[row].max())
        assert d.gold == (LABELS[GOLD[row]] if GOLD[row] >= 0 else None)
        assert d.text_pair is None


def test_no_more_disagreements_are_shown_than_can_be_read() -> None:
    opposite = Predictions("distilled", "", "", 2, {0: np.roll(TEACHER.logits[5], 1, axis=1)})
    assert len(disagreements(opposite, TEACHER, held_out())) == 40 < ROWS


def test_always_the_most_frequent_label_is_right_as_often_as_it_occurs() -> None:
    """20 rows of "a", 30 of "b", 4 of "c", 6 without a label."""
    rows = held_out(np.repeat([-100, 0, 1, 2], [6, 20, 30, 4]))
    constant = always_the_most_frequent(rows)
    assert constant is not None
    assert constant.detail == "'b', which 30 of 54 held-out rows are"
    found = describe_constant(constant, TEACHER, rows)
    assert found.accuracy is not None
    assert found.macro_f1 is not None
    assert found.sensitivity is not None
    assert found.specificity is not None
    assert found.agreement is not None
    assert found.accuracy.value == pytest.approx(30 / 54)
    assert found.macro_f1.value == pytest.approx(2 * 30 / (30 + 54) / 3)
    assert (found.sensitivity.value, found.specificity.value) == pytest.approx((1 / 3, 2 / 3))
    assert found.agreement.value == pytest.approx((TEACHER.logits[5].argmax(-1) == 1).mean())
    assert (found.kl_to_teacher_nats, found.loss_nats, found.speed, found.seeds) == (None, None, None, [])
    against = compare(constant, constant, None, rows, "accuracy")
    assert against.difference.value == 0


def test_without_gold_labels_no_label_is_the_most_frequent() -> None:
    assert always_the_most_frequent(held_out(np.full(ROWS, -100))) is None
