"""What the figures say, in plain sentences."""

from __future__ import annotations

from limbeck.formatting import (
    milliseconds_text,
    p_value_text,
    parameters_text,
    points_text,
    range_text,
    rate_text,
    share_text,
    times_text,
)
from limbeck.results import (
    SIGNIFICANT,
    TEACHER_LEAD,
    Comparison,
    Speed,
    System,
    beats_most_frequent,
    teacher_leads,
)

__all__ = ["SIGNIFICANT", "not_tuned", "verdict"]


def verdict(
    systems: list[System],
    comparisons: list[Comparison],
    *,
    most_frequent: System | None = None,
    passes: float | None = None,
) -> list[str]:
    """Return sentences on what was kept of the teacher, whether it beat fine-tuning, and what it costs to run.

    A student that does not beat one label for all rows, and a teacher that does not lead the untrained student, are
    said first: a share of the teacher's accuracy would mean nothing.

    Args:
        systems: ``distilled`` must be there.
        comparisons: of these systems, and of the distilled student with `most_frequent`.
        most_frequent: one label for all rows.
        passes: how often the fine-tuned student read each labelled row.
    """
    by_name = {system.name: system for system in systems}
    teacher, student = by_name.get("teacher"), by_name["distilled"]
    before = by_name.get("student_before")
    sentences = []
    if most_frequent is not None and not beats_most_frequent(comparisons):
        sentences.append(_no_better_than_one_label(teacher, student, most_frequent))
    if not teacher_leads(teacher, before):
        sentences.append(_weak(teacher, before, student))
    if not sentences:
        sentences.append(_kept(teacher, student))
        if most_frequent is not None and most_frequent.accuracy is not None:
            sentences.append(f"Always the most frequent label is right on {share_text(most_frequent.accuracy.value)}.")
    for comparison in comparisons:
        pair = (comparison.first, comparison.second, comparison.metric)
        if pair == ("distilled", "fine_tuned", "accuracy"):
            sentences += [_against_fine_tuning(comparison), not_tuned(passes)]
        if pair == ("distilled", "teacher", "accuracy") and teacher is not None and teacher.speed is None:
            sentences.append(_against_given_labels(comparison))
    assert student.speed is not None
    sentences.append(_size_and_speed(student.speed, teacher.speed if teacher is not None else None))
    return sentences


def not_tuned(passes: float | None = None) -> str:
    """Say of the fine-tuned student what makes it a weaker opponent than it could be."""
    number = "" if passes is None else f"{passes:.{1 if passes < 9.95 else 0}f}".removesuffix(".0")
    read = f" ({number} pass{'' if number == '1' else 'es'} over the labelled rows)" if number else ""
    return (
        f"That student had the learning rate and the number of steps of the distilled one{read}; it was not tuned for "
        "itself."
    )


def _no_better_than_one_label(teacher: System | None, student: System, most_frequent: System) -> str:
    assert student.accuracy is not None
    assert most_frequent.accuracy is not None
    of_teacher = f", the teacher on {share_text(teacher.accuracy.value)}" if teacher and teacher.accuracy else ""
    return (
        "The student is not shown to be better than always giving the most frequent label: it is right on "
        f"{share_text(student.accuracy.value)} of the held-out rows, that label on "
        f"{share_text(most_frequent.accuracy.value)}{of_teacher}."
    )


def _weak(teacher: System | None, before: System | None, student: System) -> str:
    assert teacher is not None
    assert before is not None
    assert teacher.accuracy is not None
    assert before.accuracy is not None
    assert student.accuracy is not None
    return (
        f"The teacher does not lead: it is right on {share_text(teacher.accuracy.value)} of the held-out rows, the "
        f"untrained student on {share_text(before.accuracy.value)}. A teacher that does not lead by "
        f"{TEACHER_LEAD * 100:.0f} points teaches its errors too. The distilled student is right on "
        f"{share_text(student.accuracy.value)}."
    )


def _size_and_speed(speed: Speed, of_teacher: Speed | None) -> str:
    if of_teacher is None:
        return (
            f"The student has {parameters_text(speed.parameters)} parameters, answers one text in "
            f"{milliseconds_text(speed.latency_ms_median)}, and labels "
            f"{rate_text(speed.throughput_rows_per_second).removesuffix(' /s')} rows per second."
        )
    faster = speed.throughput_rows_per_second / of_teacher.throughput_rows_per_second
    size = share_text(speed.parameters / of_teacher.parameters, digits=0)
    return (
        f"The student has {size} of the teacher's parameters, answers one text in "
        f"{milliseconds_text(speed.latency_ms_median)} instead of {milliseconds_text(of_teacher.latency_ms_median)}, "
        f"and labels {times_text(faster)} as many rows per second."
    )


def _kept(teacher: System | None, student: System) -> str:
    if teacher is None:
        if student.accuracy is None:
            return "The held-out rows have neither gold labels nor the teacher's: nothing can be said of the student."
        return (
            f"The student is right on {share_text(student.accuracy.value)} of the held-out rows, which do not all "
            "have a label of the teacher to compare with."
        )
    if teacher.accuracy is None or student.accuracy is None:
        assert student.agreement is not None
        return (
            f"The held-out rows have no labels, so only fidelity can be measured: the student gives the teacher's "
            f"label on {share_text(student.agreement.value)} of them."
        )
    if teacher.accuracy.value == 0:
        right = share_text(student.accuracy.value)
        return f"The teacher is right on no held-out row; the student is on {right} of them."
    share = student.accuracy.value / teacher.accuracy.value
    return (
        f"The student keeps {share_text(share)} of the teacher's accuracy "
        f"({share_text(student.accuracy.value)} against {share_text(teacher.accuracy.value)})."
    )


def _against_given_labels(comparison: Comparison) -> str:
    """Say whether the student is right more often than the very labels it was trained on would be."""
    if comparison.bootstrap_p_value >= SIGNIFICANT:
        word = "could not be told from"
    else:
        word = "is right more often than" if comparison.difference.value > 0 else "is right less often than"
    return f"Against the gold labels the student {word} the teacher's own labels: {_difference(comparison)}."


def _difference(comparison: Comparison) -> str:
    interval = range_text(comparison.difference, unit="points")
    return (
        f"{points_text(comparison.difference.value)} (95 % interval {interval}, "
        f"{p_value_text(comparison.bootstrap_p_value)})"
    )


def _against_fine_tuning(comparison: Comparison) -> str:
    if comparison.bootstrap_p_value >= SIGNIFICANT:
        word = "made no significant difference to"
    else:
        word = "beat" if comparison.difference.value > 0 else "was worse than"
    return f"Distillation {word} plain fine-tuning at the same budget: {_difference(comparison)}."
