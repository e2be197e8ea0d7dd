"""The sentences, for students that are better, worse and neither."""

from __future__ import annotations

import pytest

from limbeck.evaluation.verdict import verdict
from limbeck.results import Comparison, Interval, Speed, System, SystemName


def system(name: SystemName, accuracy: float | None, *, agreement: float | None = None, scale: float = 1) -> System:
    def interval(value: float | None) -> Interval | None:
        return None if value is None else Interval(value=value, low=value - 0.01, high=value + 0.01)

    return System(
        name=name,
        title=name,
        detail="",
        layers=2,
        accuracy=interval(accuracy),
        macro_f1=interval(accuracy),
        loss_nats=None,
        expected_calibration_error=None,
        agreement=interval(agreement),
        kl_to_teacher_nats=None,
        per_class=[],
        reliability=[],
        confusion=None,
        seeds=[],
        speed=Speed(
            parameters=int(1000 * scale),
            size_bytes=4000,
            latency_ms_median=10 * scale,
            latency_ms_p95=12 * scale,
            throughput_rows_per_second=50 / scale,
            batch_size=32,
            peak_memory_bytes=1,
        ),
    )


def against(difference: float, p_value: float, second: SystemName = "fine_tuned") -> Comparison:
    return Comparison(
        first="distilled",
        second=second,
        metric="accuracy",
        difference=Interval(value=difference, low=difference - 0.01, high=difference + 0.01),
        bootstrap_p_value=p_value,
        mcnemar=[],
        per_seed_difference=[difference],
        t_test_p_value=None,
    )


TEACHER, STUDENT = system("teacher", 0.8), system("distilled", 0.76, agreement=0.9, scale=0.25)


@pytest.mark.parametrize(
    ("difference", "p_value", "words", "figures"),
    [
        (0.034, 0.001, "beat", "+3.4 points (95 % interval +2.4 to +4.4, p = 0.001)"),
        (-0.034, 0.001, "was worse than", "−3.4 points (95 % interval −4.4 to −2.4, p = 0.001)"),
        (0.034, 0.05, "made no significant difference to", "+3.4 points (95 % interval +2.4 to +4.4, p = 0.050)"),
        (-0.002, 0.6, "made no significant difference to", "−0.2 points (95 % interval −1.2 to +0.8, p = 0.60)"),
    ],
)
def test_against_fine_tuning(difference: float, p_value: float, words: str, figures: str) -> None:
    sentences = verdict([TEACHER, STUDENT], [against(-0.04, 0.2, "teacher"), against(difference, p_value)])
    assert sentences[1] == f"Distillation {words} plain fine-tuning at the same budget: {figures}."
    assert sentences[2] == (
        "That student had the learning rate and the number of steps of the distilled one; it was not tuned for itself."
    )


@pytest.mark.parametrize(
    ("passes", "words"), [(29.09, "29 passes"), (1.0, "1 pass"), (2.53, "2.5 passes"), (9.96, "10 passes")]
)
def test_how_often_the_control_read_its_rows(passes: float, words: str) -> None:
    sentences = verdict([TEACHER, STUDENT], [against(0.034, 0.001)], passes=passes)
    assert sentences[2] == (
        f"That student had the learning rate and the number of steps of the distilled one ({words} over the labelled "
        "rows); it was not tuned for itself."
    )


def test_what_was_kept_and_what_it_costs() -> None:
    assert verdict([TEACHER, STUDENT], []) == [
        "The student keeps 95.0 % of the teacher's accuracy (76.0 % against 80.0 %).",
        "The student has 25 % of the teacher's parameters, answers one text in 2.50 ms instead of 10.0 ms, and labels "
        "4.0 times as many rows per second.",
    ]


def test_without_labels_it_speaks_of_fidelity() -> None:
    sentences = verdict([system("teacher", None), system("distilled", None, agreement=0.9)], [])
    assert sentences[0] == (
        "The held-out rows have no labels, so only fidelity can be measured: the student gives the teacher's label "
        "on 90.0 % of them."
    )


def test_a_teacher_that_is_never_right_has_nothing_to_keep() -> None:
    sentences = verdict([system("teacher", 0.0), STUDENT], [])
    assert sentences[0] == "The teacher is right on no held-out row; the student is on 76.0 % of them."


@pytest.mark.parametrize("before", [0.84, 0.8, 0.785])
def test_a_teacher_that_does_not_lead_comes_first_and_no_share_of_it_is_praised(before: float) -> None:
    sentences = verdict([TEACHER, system("student_before", before), system("distilled", 0.9)], [])
    assert sentences[0] == (
        "The teacher does not lead: it is right on 80.0 % of the held-out rows, the untrained student on "
        f"{before * 100:.1f} %. A teacher that does not lead by 2 points teaches its errors too. The distilled "
        "student is right on 90.0 %."
    )
    assert not any("keeps" in sentence for sentence in sentences)


def test_a_teacher_that_leads_by_two_points_is_what_is_kept() -> None:
    sentences = verdict([TEACHER, system("student_before", 0.78), STUDENT], [])
    assert sentences[0].startswith("The student keeps 95.0 %")


ONE_LABEL = system("most_frequent", 0.3)


def test_what_is_kept_stands_beside_what_one_label_is_worth() -> None:
    sentences = verdict([TEACHER, STUDENT], [against(0.46, 0.001, "most_frequent")], most_frequent=ONE_LABEL)
    assert sentences[0].startswith("The student keeps 95.0 %")
    assert sentences[1] == "Always the most frequent label is right on 30.0 %."


@pytest.mark.parametrize(("accuracy", "p_value"), [(0.28, 0.001), (0.3, 0.9), (0.33, 0.06)])
@pytest.mark.parametrize("teacher", [0.8, None])
def test_a_student_at_chance_keeps_nothing(accuracy: float, p_value: float, teacher: float | None) -> None:
    """The student of the report: 35 % of the teacher's accuracy, which one label for all rows has too."""
    systems = [system("distilled", accuracy), *([system("teacher", teacher)] if teacher else [])]
    sentences = verdict(systems, [against(accuracy - 0.3, p_value, "most_frequent")], most_frequent=ONE_LABEL)
    assert sentences[0] == (
        "The student is not shown to be better than always giving the most frequent label: it is right on "
        f"{accuracy * 100:.1f} % of the held-out rows, that label on 30.0 %"
        f"{', the teacher on 80.0 %' if teacher else ''}."
    )
    assert not any("keeps" in sentence for sentence in sentences)


def test_a_teacher_and_a_student_at_chance_are_both_said() -> None:
    systems = [system("teacher", 0.31), system("student_before", 0.3), system("distilled", 0.3)]
    sentences = verdict(systems, [against(0.0, 0.9, "most_frequent")], most_frequent=ONE_LABEL)
    assert sentences[0].startswith("The student is not shown to be better")
    assert sentences[1].startswith("The teacher does not lead")
    assert not any("keeps" in sentence for sentence in sentences)
