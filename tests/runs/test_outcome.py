"""What a run says of itself in the end."""

from __future__ import annotations

import pytest

from limbeck.results import Interval, System, SystemName
from limbeck.runs.outcome import weak_teacher


def system(name: SystemName, accuracy: float | None) -> System:
    return System(
        name=name,
        title=name,
        detail="",
        layers=None,
        accuracy=None if accuracy is None else Interval(value=accuracy, low=accuracy, high=accuracy),
        macro_f1=None,
        loss_nats=None,
        expected_calibration_error=None,
        agreement=None,
        kl_to_teacher_nats=None,
        per_class=[],
        reliability=[],
        confusion=None,
        seeds=[],
        speed=None,
    )


@pytest.mark.parametrize(
    ("teacher", "before", "warned"), [(0.70, 0.69, True), (0.72, 0.69, False), (0.5, 0.7, True), (None, 0.7, False)]
)
def test_a_teacher_that_hardly_leads_is_warned_of(teacher: float | None, before: float, warned: bool) -> None:
    found = weak_teacher([system("teacher", teacher), system("student_before", before)])
    assert bool(found) == warned
    assert weak_teacher([system("student_before", before)]) == []
