"""What makes a share of the teacher's figure meaningless."""

from __future__ import annotations

import pytest
from tests.evaluation.verdicts.records import comparison, figure, record

from limbeck.results.record import System
from limbeck.results.worth import no_worse_than_teacher, teacher_leads, unbeaten_simple

LOSS = "nll"


def names(systems: list[System]) -> list[str]:
    return [system.name for system in systems]


@pytest.mark.parametrize(
    ("value", "p_value", "over_seeds", "unbeaten"),
    [
        (0.05, 0.001, None, False),
        (0.05, 0.001, 0.01, False),
        (0.05, 0.001, 0.2, True),
        (0.05, 0.2, 0.001, True),
        (0.05, 0.05, None, True),
        (0.0, 1.0, None, True),
        (-0.05, 0.001, None, True),
    ],
)
def test_a_simple_baseline_is_beaten_if_all_tests_say_so(
    value: float, p_value: float, over_seeds: float | None, unbeaten: bool
) -> None:
    found = unbeaten_simple(record([], [comparison("tfidf", value, p_value, over_seeds=over_seeds)]))
    assert names(found) == (["tfidf"] if unbeaten else [])


def test_of_several_the_best_comes_first_and_of_equal_ones_the_simplest() -> None:
    def found(tfidf: float, frozen: float) -> list[str]:
        both = [comparison("tfidf", tfidf, 0.5), comparison("frozen_embeddings", frozen, 0.5)]
        return names(unbeaten_simple(record([], both)))

    assert found(0.01, -0.01) == ["frozen_embeddings", "tfidf"]
    assert found(-0.02, -0.01) == ["tfidf", "frozen_embeddings"]
    assert found(0.01, 0.01) == ["tfidf", "frozen_embeddings"]


def test_where_less_is_better_a_smaller_figure_wins() -> None:
    beaten = comparison("tfidf", -0.05, 0.001, LOSS)
    assert unbeaten_simple(record([], [beaten], headline=LOSS)) == []
    assert names(unbeaten_simple(record([], [comparison("tfidf", 0.05, 0.001, LOSS)], headline=LOSS))) == ["tfidf"]
    figures = [figure("teacher", 2.0, LOSS), figure("tfidf", 1.9, LOSS), figure("fine_tune", 2.1, LOSS)]
    assert names(no_worse_than_teacher(record(figures, headline=LOSS))) == ["tfidf"]


def test_control_and_simple_baselines_can_be_as_good_as_the_teacher() -> None:
    figures = [figure("teacher", 0.7), figure("fine_tune", 0.7), figure("pkd", 0.9), figure("tfidf", 0.69)]
    assert names(no_worse_than_teacher(record(figures))) == ["fine_tune"]
    assert no_worse_than_teacher(record(figures[1:])) == []


def test_a_record_without_simple_baselines_has_none_to_beat() -> None:
    assert unbeaten_simple(record([figure("distilled", 0.5)])) == []
    assert unbeaten_simple(record([figure("tfidf", 0.5)])) == []


@pytest.mark.parametrize(("copied", "leads"), [(False, False), (True, True)])
def test_a_student_made_of_the_teachers_layers_does_not_speak_against_it(copied: bool, leads: bool) -> None:
    found = record([figure("teacher", 0.9), figure("student_init", 0.89)])
    systems = [
        system.model_copy(update={"copied": copied and system.role == "student_init"}) for system in found.systems
    ]
    assert teacher_leads(found.model_copy(update={"systems": systems})) == leads
