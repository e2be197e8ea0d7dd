"""What the figures say, in plain sentences."""

from __future__ import annotations

from limbeck.results import Comparison, System

__all__ = ["SIGNIFICANT", "verdict"]

SIGNIFICANT = 0.05
"""p-values below it are called significant."""


def verdict(systems: list[System], comparisons: list[Comparison]) -> list[str]:
    """Return sentences on what was kept of the teacher, whether it beat fine-tuning, and what it costs to run."""
    by_name = {system.name: system for system in systems}
    teacher, student = by_name["teacher"], by_name["distilled"]
    sentences = [_kept(teacher, student)]
    for comparison in comparisons:
        if (comparison.first, comparison.second, comparison.metric) == ("distilled", "fine_tuned", "accuracy"):
            sentences.append(_against_fine_tuning(comparison))
    speed, size = student.speed, teacher.speed
    sentences.append(
        f"The student has {speed.parameters / size.parameters:.0%} of the teacher's parameters, answers one text in "
        f"{speed.latency_ms_median:.1f} ms instead of {size.latency_ms_median:.1f} ms, and labels "
        f"{speed.throughput_rows_per_second / size.throughput_rows_per_second:.1f} times as many rows per second."
    )
    return sentences


def _kept(teacher: System, student: System) -> str:
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


def _against_fine_tuning(comparison: Comparison) -> str:
    points = comparison.difference.value * 100
    interval = f"95 % interval {comparison.difference.low * 100:+.1f} to {comparison.difference.high * 100:+.1f}"
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
