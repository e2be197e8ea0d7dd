"""The few figures on top of a report on labels."""

from __future__ import annotations

from tests.report.label_samples import at_chance

from limbeck.report.summary import key_figures
from limbeck.results import Interval, Results


def test_a_student_that_one_label_could_stand_in_for_is_not_headed_by_what_it_keeps(full_results: Results) -> None:
    first = key_figures(at_chance(full_results, p_value=0.2))[0]
    assert (first.value, first.title, first.detail) == (
        "90.3 %", "right; not shown to be better than always the most frequent label", "that label is right on 88.0 %"
    )  # fmt: skip
    assert key_figures(at_chance(full_results, p_value=0.01))[0].title == "of the teacher's accuracy kept"


def test_what_a_teacher_that_leads_is_kept_of(full_results: Results) -> None:
    assert key_figures(full_results)[0].title == "of the teacher's accuracy kept"


def test_a_teacher_that_does_not_lead_is_no_measure(full_results: Results) -> None:
    level = Interval(value=0.327, low=0.3, high=0.35)
    systems = [
        s.model_copy(update={"accuracy": level}) if s.name in ("teacher", "student_before") else s
        for s in full_results.systems
    ]
    distilled = next(s for s in systems if s.name == "distilled")
    assert distilled.accuracy is not None
    first = key_figures(full_results.model_copy(update={"systems": systems}))[0]
    assert first.value == f"{distilled.accuracy.value * 100:.1f} %"
    assert first.title == "right; the teacher does not lead the untrained student"
    assert first.detail == "the teacher 32.7 %, the untrained student 32.7 %"
