"""What is kept of the source language: on the tasks that both have."""

from __future__ import annotations

import pytest
from tests.report.conftest import changed

from limbeck.report.languages import Entry, LanguageView
from limbeck.results.record import Results
from limbeck.results.sections import Languages


def view(results: Results) -> LanguageView:
    section = results.section(Languages)
    assert section
    return LanguageView(results, section)


def main(of: LanguageView, budget: int | None = None) -> Entry:
    entry = of.main(budget)
    assert entry
    return entry


def without(results: Results, system: str, **slice: str) -> Results:
    """The record without these figures of a system."""
    gone = {"lang", "task"} if "task" in slice else {"lang"}
    kept = [
        figure
        for figure in results.figures
        if figure.system != system
        or set(figure.slice) & gone != gone
        or any(figure.slice[key] != value for key, value in slice.items())
    ]
    return changed(results, figures=kept)


def test_a_language_has_one_vote_per_task_in_what_it_keeps(records: dict[str, Results]) -> None:
    of = view(records["ranking"])
    entry = main(of, 16)
    pair = of.beside_source(entry, "sw")
    assert pair
    own = [of.value(entry, lang="sw", task=task) or 0 for task in of.section.tasks]
    assert pair[0] == pytest.approx(sum(own) / 2)
    assert pair[1] == pytest.approx(of.source_value())
    assert of.kept(entry, "sw") == pytest.approx(pair[0] / pair[1])


def test_only_tasks_that_both_have_are_compared(records: dict[str, Results]) -> None:
    results = without(records["ranking"], "ml_ipd", lang="de", task="entailment")
    of = view(results)
    entry, teacher = main(of, 16), of.teacher
    assert teacher
    pair = of.beside_source(entry, "de")
    assert pair == (of.value(entry, lang="de", task="topic"), of.value(teacher, lang="en", task="topic"))
    other = view(without(results, "teacher", lang="en", task="topic"))
    assert other.beside_source(main(other, 16), "de") is None
    assert other.kept(main(other, 16), "de") is None


def test_the_mean_leaves_out_the_source_language(records: dict[str, Results]) -> None:
    of = view(records["ranking"])
    entry = main(of)
    kept = [of.kept(entry, lang) or 0 for lang in of.section.targets]
    assert of.mean_kept(entry) == pytest.approx(sum(kept) / 3)
    assert of.worst_first(entry) == ["sw", "de", "fr"]


def test_without_a_teacher_nothing_is_kept_or_lost(bare: dict[str, Results]) -> None:
    of = view(bare["ranking"])
    assert of.teacher is None
    assert of.source_value() is None
    assert of.mean_kept(main(of)) is None


def test_a_teacher_that_knows_nothing(records: dict[str, Results]) -> None:
    figures = [f.model_copy(update={"value": 0.0}) if f.system == "teacher" else f for f in records["ranking"].figures]
    of = view(changed(records["ranking"], figures=figures))
    assert of.kept(main(of), "de") is None


def test_the_main_system_is_shown_at_its_largest_budget(records: dict[str, Results]) -> None:
    of = view(records["ranking"])
    assert main(of).budget == 16
    assert of.budgets() == [16, 0]
    assert of.main(17) is None
    assert view(changed(records["ranking"], systems=[])).main() is None


def test_the_best_other_has_the_same_budget_or_is_the_teacher(records: dict[str, Results]) -> None:
    of = view(records["ranking"])
    other = of.best_other(main(of, 16))
    assert other
    assert (other.system.name, other.budget) == ("transfer", 16)
    figures = [
        f.model_copy(update={"value": 0.99}) if f.system == "teacher" and not f.slice else f
        for f in records["ranking"].figures
    ]
    strong = view(changed(records["ranking"], figures=figures))
    best = strong.best_other(main(strong, 16))
    assert best
    assert best.system.role == "teacher"
    in_swahili = strong.best_other(main(strong, 16), "sw")
    assert in_swahili
    assert in_swahili.system.name == "transfer"


def test_baseline_and_control_go_by_role(records: dict[str, Results]) -> None:
    of = view(records["ranking"])
    baseline, control = of.baseline(), of.control(main(of, 16))
    assert baseline
    assert control
    assert (baseline.name, control.name) == ("ml_dft", "transfer")
    alone = [c.model_copy(update={"second": "teacher", "budget": n}) for c in records["ranking"].comparisons[:1]
             for n in (0, 16)]  # fmt: skip
    other = view(changed(records["ranking"], comparisons=alone))
    without_labels = other.control(main(other, 0))
    assert without_labels
    assert without_labels.role == "teacher", "without target labels the teacher is the control, and only then"
    assert other.control(main(other, 16)) is None


def test_names_fall_back_to_codes(bare: dict[str, Results]) -> None:
    assert view(bare["ranking"]).name("de") == "de"
