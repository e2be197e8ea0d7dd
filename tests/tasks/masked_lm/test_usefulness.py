"""When a teacher of masked tokens is refused."""

from __future__ import annotations

import math

import pytest

from limbeck.tasks.masked_lm.usefulness import useless_teacher


@pytest.mark.parametrize(
    ("teacher", "student", "copied", "message"),
    [
        (1.0, 2.0, False, None),
        (1.0, 1.0, False, None),
        (1.0, 0.9, False, "this teacher would make it worse"),
        (1.0, 0.9, True, None),
        (0.95 * math.log(100), 5.0, True, "guessing among all tokens gives 4.61: it has learnt nothing"),
        (math.nan, 5.0, True, "its weights hold values that are not finite"),
    ],
)
def test_a_teacher_must_know_more_than_guessing_and_its_student(
    teacher: float, student: float, copied: bool, message: str | None
) -> None:
    found = useless_teacher(teacher, student, 100, copied=copied)
    assert found is None if message is None else message in str(found)
