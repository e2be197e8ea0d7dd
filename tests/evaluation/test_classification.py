"""Figures of one system and of two, on rows made by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.evaluation.measured import compared, figure, find, interval, section, value

from limbeck.evaluation.classification import Classified, HeldOut, measure_classification
from limbeck.evaluation.measured import Measured
from limbeck.evaluation.one_vs_rest import count_one_vs_rest
from limbeck.evaluation.predict import softmax
from limbeck.results.figures import Comparison, Figure
from limbeck.results.record import Role, System
from limbeck.results.sections import Classes, Confusion, Disagreements, Reliability, Retention
from limbeck.types import Origin, Rows

LABELS = ["a", "b", "c"]
ROWS = 60
RNG = np.random.default_rng(0)
GOLD = RNG.integers(0, 3, ROWS)
GOLD[:6] = -100  # unlabelled
ROLES: dict[str, Role] = {"teacher": "teacher", "distilled": "main", "fine_tune": "baseline", "tfidf": "simple"}
Logits = dict[int, NDArray[np.float32]]


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


def logits_of(errors: dict[int, int]) -> Logits:
    return {seed: logits_with_errors(n, 10 * n + seed) for seed, n in errors.items()}


TEACHER, DISTILLED = logits_of({5: 4}), logits_of({0: 6, 1: 8, 2: 10})
FINE_TUNED = logits_of({0: 20, 1: 21, 2: 22})


def classified(name: str, logits: Logits) -> Classified:
    return Classified(System(name=name, title=name.title(), role=ROLES[name], control=name == "fine_tune"), logits)


def measured(rows: HeldOut | None = None, **systems: Logits) -> Measured:
    return measure_classification([classified(*one) for one in systems.items()], rows or held_out())


FOUND = measured(teacher=TEACHER, fine_tune=FINE_TUNED, distilled=DISTILLED)


def accuracy(logits: NDArray[np.float32]) -> float:
    return float((logits.argmax(-1) == GOLD)[GOLD >= 0].mean())


def test_figures_are_means_over_seeds_on_labelled_rows() -> None:
    found = figure(FOUND, "distilled", "accuracy")
    assert found.value == pytest.approx(1 - 8 / 54)
    assert interval(found).low < found.value < interval(found).high
    assert found.seeds == pytest.approx({0: 48 / 54, 1: 46 / 54, 2: 44 / 54})
    assert found.rows == 54
    macro_f1 = figure(FOUND, "distilled", "macro_f1")
    assert macro_f1.value == pytest.approx(np.mean(list(macro_f1.seeds.values())))
    by_seed = [count_one_vs_rest(GOLD[GOLD >= 0], logits.argmax(-1)[GOLD >= 0], 3) for logits in DISTILLED.values()]
    sensitivity = figure(FOUND, "distilled", "sensitivity")
    assert list(sensitivity.seeds.values()) == pytest.approx([x.sensitivity.mean() for x in by_seed])
    assert interval(sensitivity).low < sensitivity.value < interval(sensitivity).high
    specificity = figure(FOUND, "distilled", "specificity")
    assert specificity.value == pytest.approx(np.mean([x.specificity.mean() for x in by_seed]))
    log_probs = [x - np.log(np.exp(x.astype(float)).sum(-1, keepdims=True)) for x in DISTILLED.values()]
    gold_rows = np.flatnonzero(GOLD >= 0)
    losses = [-log_prob[gold_rows, GOLD[gold_rows]].mean() for log_prob in log_probs]
    assert figure(FOUND, "distilled", "loss").value == pytest.approx(np.mean(losses), rel=1e-5)
    assert FOUND.headline == "accuracy"


def test_fidelity_is_measured_on_all_rows_labelled_or_not() -> None:
    teacher = TEACHER[5]
    agreements = [(x.argmax(-1) == teacher.argmax(-1)).mean() for x in DISTILLED.values()]
    agreement = figure(FOUND, "distilled", "agreement")
    assert agreement.value == pytest.approx(np.mean(agreements))
    assert list(agreement.seeds.values()) == pytest.approx(agreements)
    assert agreement.rows == ROWS
    p = np.exp(teacher.astype(float))
    p /= p.sum(-1, keepdims=True)
    divergences = []
    for x in DISTILLED.values():
        q = np.exp(x.astype(float))
        q /= q.sum(-1, keepdims=True)
        divergences.append((p * np.log(p / q)).sum(-1).mean())
    assert figure(FOUND, "distilled", "kl").value == pytest.approx(np.mean(divergences), rel=1e-5)


def test_class_figures_reliability_and_confusion_pool_the_seeds() -> None:
    assert section(FOUND, Classes).labels == LABELS
    rows = [figure(FOUND, "distilled", "f1", **{"class": label}).rows for label in LABELS]
    assert rows == np.bincount(GOLD[GOLD >= 0]).tolist()
    gold, called = np.tile(GOLD[GOLD >= 0], 3), np.concatenate([x.argmax(-1)[GOLD >= 0] for x in DISTILLED.values()])
    for c, label in enumerate(LABELS):
        hits = ((gold == c) & (called == c)).sum()
        recall, precision = hits / (gold == c).sum(), hits / (called == c).sum()
        found = {
            m: figure(FOUND, "distilled", m, **{"class": label}).value for m in ("sensitivity", "precision", "f1")
        }
        assert found == pytest.approx(
            {"sensitivity": recall, "precision": precision, "f1": 2 * recall * precision / (recall + precision)}
        )
    assert sum(b.rows for b in section(FOUND, Reliability).systems["distilled"]) == 3 * 54
    confusion = section(FOUND, Confusion).systems["distilled"]
    assert np.sum(confusion.rows) == 3 * 54
    assert np.trace(np.array(confusion.rows)) == 3 * 54 - 24
    bins = section(FOUND, Reliability).systems["distilled"]
    error = sum(b.rows / (3 * 54) * abs(b.accuracy - b.mean_confidence) for b in bins)
    assert figure(FOUND, "distilled", "ece").value == pytest.approx(error)
    assert 0 < error < 1


def test_probabilities_are_with_the_temperature_and_fidelity_without() -> None:
    cooled = {seed: (logits / np.float32(2)) for seed, logits in DISTILLED.items()}
    student = replace(classified("distilled", DISTILLED), temperatures=dict.fromkeys(DISTILLED, 2.0))
    teacher = classified("teacher", TEACHER)
    found = measure_classification([teacher, student], held_out())
    by_hand = measure_classification([teacher, classified("distilled", cooled)], held_out())
    for metric in ("ece", "loss"):
        assert figure(found, "distilled", metric).value == pytest.approx(figure(by_hand, "distilled", metric).value)
    assert figure(found, "distilled", "ece_before") == replace_metric(figure(FOUND, "distilled", "ece"), "ece_before")
    assert find(found, "teacher", "ece_before") is find(FOUND, "distilled", "ece_before") is None
    for metric in ("kl", "agreement", "accuracy"):
        assert figure(found, "distilled", metric) == figure(FOUND, "distilled", metric)
    assert section(found, Reliability).systems == section(by_hand, Reliability).systems
    confidence = [row.student_confidence for row in section(found, Disagreements).rows]
    assert confidence == pytest.approx([row.student_confidence for row in section(by_hand, Disagreements).rows])


def replace_metric(figure: Figure, metric: str) -> Figure:
    return figure.model_copy(update={"metric": metric})


def test_the_teacher_has_no_fidelity_to_itself() -> None:
    assert find(FOUND, "teacher", "agreement") is find(FOUND, "teacher", "kl") is None
    assert find(FOUND, "teacher", "accuracy") is not None


def test_without_labels_only_fidelity_is_known() -> None:
    found = measured(held_out(np.full(ROWS, -100)), teacher=TEACHER, distilled=DISTILLED)
    assert {f.metric for f in found.figures} == {"agreement", "kl"}
    assert found.headline == "agreement"
    assert len(figure(found, "distilled", "agreement").seeds) == 3
    assert section(found, Reliability).systems == section(found, Confusion).systems == {}
    assert [system.role for system in found.systems] == ["teacher", "main"]


def test_a_sure_mistake_has_a_finite_loss() -> None:
    logits = np.zeros((ROWS, 3), dtype=np.float32)
    logits[:, 0] = 1e6
    assert math.isfinite(figure(measured(distilled={0: logits}), "distilled", "loss").value)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "agreement"])
def test_the_difference_is_that_of_the_figures_seed_by_seed(metric: str) -> None:
    found = compared(FOUND, "fine_tune", metric)
    first, second = (figure(FOUND, name, metric) for name in ("distilled", "fine_tune"))
    assert found.value == pytest.approx(first.value - second.value)
    assert found.seeds == pytest.approx({seed: first.seeds[seed] - second.seeds[seed] for seed in range(3)})
    assert interval(found).low < found.value < interval(found).high
    assert (found.p_value() or 1) < 0.05
    assert (found.p_value("t") or 1) < 0.05


def mcnemar(comparison: Comparison) -> list[tuple[int | None, float]]:
    """Seed and rows that the first has more."""
    return [
        (test.seed, test.details["only_first_right"] - test.details["only_second_right"])
        for test in comparison.tests
        if test.name == "mcnemar"
    ]


def test_the_other_way_round_is_the_negative_with_the_same_p_values() -> None:
    one = compared(FOUND, "fine_tune", "accuracy")
    other = compared(measured(fine_tune=DISTILLED, distilled=FINE_TUNED), "fine_tune", "accuracy")
    assert other.value == pytest.approx(-one.value)
    assert interval(other).low == pytest.approx(-interval(one).high)
    assert other.p_value() == pytest.approx(one.p_value())
    assert mcnemar(other) == [(seed, -more) for seed, more in mcnemar(one)]


def test_mcnemar_counts_rows_that_one_has_right_for_accuracy_alone() -> None:
    found = compared(FOUND, "fine_tune", "accuracy")
    assert [(seed, more / 54) for seed, more in mcnemar(found)] == [
        (seed, pytest.approx(difference)) for seed, difference in found.seeds.items()
    ]
    assert all(test.p_value < 0.05 for test in found.tests if test.name == "mcnemar")
    assert mcnemar(compared(FOUND, "fine_tune", "macro_f1")) == []
    assert mcnemar(compared(FOUND, "fine_tune", "agreement")) == []


def test_identical_systems_do_not_differ() -> None:
    found = compared(measured(fine_tune=DISTILLED, distilled=DISTILLED), "fine_tune", "accuracy")
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert found.p_value() == 1
    assert [test.p_value for test in found.tests if test.name == "mcnemar"] == [1, 1, 1]
    assert found.p_value("t") is None


def test_pairing_makes_the_interval_narrower_than_that_of_two_unpaired_samples() -> None:
    """Two systems with nearly the same mistakes differ by little, however uncertain each one's accuracy is."""
    nearly = DISTILLED[0].copy()
    wrong = np.flatnonzero((nearly.argmax(-1) != GOLD) & (GOLD >= 0))[0]
    nearly[wrong] = 0
    nearly[wrong, GOLD[wrong]] = 3
    found = measured(distilled={0: nearly}, fine_tune={0: DISTILLED[0]})
    paired = interval(compared(found, "fine_tune", "accuracy"))
    alone = interval(figure(found, "distilled", "accuracy"))
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_figures_are_the_same_every_time() -> None:
    again = measured(teacher=TEACHER, fine_tune=FINE_TUNED, distilled=DISTILLED)
    assert again == FOUND


@pytest.mark.parametrize("teachers_seed", [0, 5])
def test_a_teacher_of_one_seed_is_compared_with_every_student(teachers_seed: int) -> None:
    found = compared(measured(teacher={teachers_seed: TEACHER[5]}, distilled=DISTILLED), "teacher", "accuracy")
    expected = {seed: accuracy(x) - accuracy(TEACHER[5]) for seed, x in DISTILLED.items()}
    assert found.value == pytest.approx(np.mean(list(expected.values())))
    assert found.seeds == pytest.approx(expected)
    assert len(mcnemar(found)) == 3


def test_which_systems_are_compared_follows_from_their_roles() -> None:
    pairs = [(c.first, c.second) for c in FOUND.comparisons]
    assert list(dict.fromkeys(pairs)) == [
        ("distilled", "fine_tune"),
        ("distilled", "teacher"),
        ("distilled", "constant"),
        ("fine_tune", "teacher"),
    ]
    assert [c.metric for c in FOUND.comparisons if c.second == "constant"] == ["accuracy"]
    assert {c.metric for c in FOUND.comparisons if c.second == "teacher"} == {"accuracy", "macro_f1"}


def test_what_students_keep_of_the_teacher() -> None:
    kept = {(k.system, k.metric): k.kept for k in section(FOUND, Retention).kept}
    assert set(kept) == {(s, m) for s in ("fine_tune", "distilled") for m in ("accuracy", "macro_f1")}
    share = kept["distilled", "accuracy"]
    assert share.value == pytest.approx(np.mean([accuracy(x) for x in DISTILLED.values()]) / accuracy(TEACHER[5]))
    assert share.low < share.value < share.high


def test_disagreements_show_the_surest_students_first() -> None:
    teacher, student = TEACHER[5], DISTILLED[0].copy()
    rows = np.flatnonzero(teacher.argmax(-1) != student.argmax(-1))
    student[rows[3]] *= 3
    found = section(measured(teacher=TEACHER, distilled={0: student}), Disagreements).rows
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
    opposite = measured(teacher=TEACHER, distilled={0: np.roll(TEACHER[5], 1, axis=1)})
    assert len(section(opposite, Disagreements).rows) == 40 < ROWS


def test_always_the_most_frequent_label_is_right_as_often_as_it_occurs() -> None:
    """20 rows of "a", 30 of "b", 4 of "c", 6 without a label."""
    found = measured(held_out(np.repeat([-100, 0, 1, 2], [6, 20, 30, 4])), teacher=TEACHER, distilled=DISTILLED)
    constant = found.systems[-1]
    assert (constant.name, constant.role) == ("constant", "constant")
    assert constant.detail == "'b', the label of 30 of 54 held-out rows"
    values = {f.metric: f.value for f in found.figures if f.system == "constant"}
    assert values == pytest.approx(
        {
            "accuracy": 30 / 54,
            "macro_f1": 2 * 30 / (30 + 54) / 3,
            "sensitivity": 1 / 3,
            "specificity": 2 / 3,
            "matthews_correlation": 0,
            "agreement": (TEACHER[5].argmax(-1) == 1).mean(),
        }
    )


def test_a_simple_baseline_has_figures_and_is_compared_with_student_and_teacher() -> None:
    """It has one run, which is paired with every seed of the student."""
    found = measured(teacher=TEACHER, fine_tune=FINE_TUNED, distilled=DISTILLED, tfidf=logits_of({0: 12}))
    assert value(found, "tfidf", "accuracy") == pytest.approx(1 - 12 / 54)
    assert find(found, "tfidf", "ece") is not None
    pairs = {(c.first, c.second, c.metric) for c in found.comparisons if c.second == "tfidf"}
    assert pairs == {(first, "tfidf", key) for first in ("distilled", "teacher") for key in ("accuracy", "macro_f1")}
    ours = compared(found, "tfidf", "accuracy")
    assert ours.seeds == pytest.approx({0: 6 / 54, 1: 4 / 54, 2: 2 / 54})
    assert len([test for test in ours.tests if test.name == "mcnemar"]) == 3
    differences = np.array([6, 4, 2]) / 54
    t_test = ours.test("t")
    assert t_test is not None
    assert t_test.details["t"] == pytest.approx(differences.mean() / (differences.std(ddof=1) / math.sqrt(3)))


def test_diagrams_classes_and_kept_shares_are_of_the_trained_systems() -> None:
    found = measured(teacher=TEACHER, distilled=DISTILLED, tfidf=logits_of({0: 12}))
    assert (
        set(section(found, Reliability).systems) == set(section(found, Confusion).systems) == {"teacher", "distilled"}
    )
    assert {f.system for f in found.figures if f.slice} == {"teacher", "distilled"}
    assert {one.system for one in section(found, Retention).kept} == {"distilled"}


def test_without_gold_labels_simple_baselines_are_compared_by_agreement() -> None:
    unlabelled = held_out(np.full(ROWS, -100))
    found = measured(unlabelled, teacher=TEACHER, distilled=DISTILLED, tfidf=logits_of({0: 12}))
    assert compared(found, "tfidf", "agreement").first == "distilled"
