"""What the figures say, in plain sentences."""

from __future__ import annotations

from limbeck.results import Comparison, Speed, System

__all__ = ["SIGNIFICANT", "verdict"]

SIGNIFICANT = 0.05
"""p-values below it are called significant."""


def verdict(systems: list[System], comparisons: list[Comparison]) -> list[str]:
    """Return sentences on what was kept of the teacher, whether it beat fine-tuning, and what it costs to run."""
    by_name = {system.name: system for system in systems}
    teacher, student = by_name.get("teacher"), by_name["distilled"]
    sentences = [_kept(teacher, student)]
    for comparison in comparisons:
        pair = (comparison.first, comparison.second, comparison.metric)
        if pair == ("distilled", "fine_tuned", "accuracy"):
            sentences.append(_against_fine_tuning(comparison))
        if pair == ("distilled", "teacher", "accuracy") and teacher is not None and teacher.speed is None:
            sentences.append(_against_given_labels(comparison))
    assert student.speed is not None
    sentences.append(_size_and_speed(student.speed, teacher.speed if teacher is not None else None))
    return sentences


def _size_and_speed(speed: Speed, of_teacher: Speed | None) -> str:
    if of_teacher is None:
        return (
            f"The student has {speed.parameters / 1e6:.1f} M parameters, answers one text in "
            f"{speed.latency_ms_median:.1f} ms, and labels {speed.throughput_rows_per_second:.0f} rows per second."
        )
    faster = speed.throughput_rows_per_second / of_teacher.throughput_rows_per_second
    return (
        f"The student has {speed.parameters / of_teacher.parameters:.0%} of the teacher's parameters, answers one "
        f"text in {speed.latency_ms_median:.1f} ms instead of {of_teacher.latency_ms_median:.1f} ms, and labels "
        f"{faster:.1f} times as many rows per second."
    )


def _kept(teacher: System | None, student: System) -> str:
    if teacher is None:
        if student.accuracy is None:
            return "The held-out rows have neither gold labels nor the teacher's: nothing can be said of the student."
        return (
            f"The student is right on {student.accuracy.value:.1%} of the held-out rows, which do not all have a "
            "label of the teacher to compare with."
        )
    if teacher.accuracy is None or student.accuracy is None:
        assert student.agreement is not None
        return (
            f"The held-out rows have no labels, so only fidelity can be measured: the student gives the teacher's "
            f"label on {student.agreement.value:.1%} of them."
        )
    if teacher.accuracy.value == 0:
        return f"The teacher is right on no held-out row; the student is on {student.accuracy.value:.1%} of them."
    share = student.accuracy.value / teacher.accuracy.value
    return (
        f"The student keeps {share:.1%} of the teacher's accuracy "
        f"({student.accuracy.value:.1%} against {teacher.accuracy.value:.1%})."
    )


def _against_given_labels(comparison: Comparison) -> str:
    """Say whether the student is right more often than the very labels it was trained on would be."""
    points, interval = comparison.difference.value * 100, _interval(comparison)
    if comparison.bootstrap_p_value >= SIGNIFICANT:
        word = "could not be told from"
    else:
        word = "is right more often than" if points > 0 else "is right less often than"
    return (
        f"Against the gold labels the student {word} the teacher's own labels: {points:+.1f} points ({interval}, "
        f"p = {comparison.bootstrap_p_value:.2g})."
    )


def _interval(comparison: Comparison) -> str:
    return f"95 % interval {comparison.difference.low * 100:+.1f} to {comparison.difference.high * 100:+.1f}"


def _against_fine_tuning(comparison: Comparison) -> str:
    points, interval = comparison.difference.value * 100, _interval(comparison)
    if comparison.bootstrap_p_value >= SIGNIFICANT:
        return (
            f"Distillation made no significant difference to plain fine-tuning at the same budget: {points:+.1f} "
            f"points ({interval}, p = {comparison.bootstrap_p_value:.2g})."
        )
    word = "beat" if points > 0 else "was worse than"
    return (
        f"Distillation {word} plain fine-tuning at the same budget: {points:+.1f} points "
        f"({interval}, p = {comparison.bootstrap_p_value:.2g})."
    )
