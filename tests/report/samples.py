"""What records to report on share."""

from __future__ import annotations

from limbeck.results import (
    Interval,
    SystemName,
)

SCRIPT = "<script>alert(1)</script>"
HOSTILE = [
    SCRIPT,
    "$x_$",
    "\"&'",
    "a|b\n# c",
    "\u202eعربي",
    "nul\x00\x1b[31m",
    "",
    "`" * 5,
    "very long " * 300,
    "{{ 7*7 }}",
]
SEEDS = [0, 1, 2]
TITLES: dict[SystemName, tuple[str, str]] = {
    "teacher": ("Teacher", "bert-base-uncased, fine-tuned for 3 epochs"),
    "student_before": ("Student before", "3 of 12 layers, untrained head"),
    "fine_tuned": ("Fine-tuned", "the same student, gold labels only, same budget"),
    "distilled": ("Distilled", "3 of 12 layers, 45.7 M parameters"),
}


def interval(value: float, half: float = 0.011) -> Interval:
    return Interval(value=value, low=value - half, high=value + half)
