"""Questions that reports ask of a record."""

from __future__ import annotations

import pytest
from tests.results.old_records import old_record

from limbeck.results.record import Results
from limbeck.results.sections import Classes, Languages
from limbeck.results.upgrade import upgrade


@pytest.fixture
def results() -> Results:
    return Results.model_validate(upgrade(old_record("ranking")))


def test_a_figure_is_of_exactly_one_slice_and_budget(results: Results) -> None:
    whole = results.figure("ml_ipd", "accuracy", budget=0)
    part = results.figure("ml_ipd", "accuracy", slice={"lang": "de"}, budget=0)
    assert whole is not None
    assert part is not None
    assert (whole.slice, part.slice) == ({}, {"lang": "de"})
    assert results.figure("ml_ipd", "accuracy") is None  # this system has budgets
    assert results.figure("ml_ipd", "accuracy", slice={"lang": "xx"}, budget=0) is None
    assert results.figure("nobody", "accuracy", budget=0) is None


def test_a_copy_with_other_figures_knows_those(results: Results) -> None:
    assert results.figure("ml_ipd", "accuracy", budget=0) is not None
    empty = results.model_copy(update={"figures": []})
    assert empty.figure("ml_ipd", "accuracy", budget=0) is None
    assert results.figure("ml_ipd", "accuracy", budget=0) is not None
    assert empty != results


def test_systems_by_role_and_title(results: Results) -> None:
    assert [system.name for system in results.roles("main", "baseline")] == ["ml_ipd", "ml_dft", "transfer"]
    main = results.role("main")
    assert main is not None
    assert results.title(main.name) == "ML-IPD"
    assert results.title("rl_ia") == "rl_ia"
    assert results.role("student_init") is None


def test_rows_of_a_table_go_by_budget(results: Results) -> None:
    rows = [(system.name, budget) for system, budget in results.table([results.metric("accuracy")])]
    assert rows == [
        ("teacher", 0),
        ("ml_ipd", 0),
        ("ml_dft", 0),
        ("transfer", 0),
        ("ml_ipd", 16),
        ("transfer", 16),
        ("constant", None),
    ]
    assert results.table([results.metric("ndcg")]) == []
    of_topics = results.table([results.metric("ndcg")], slice={"task": "topic"})
    assert {system.name for system, _ in of_topics} == {"ml_ipd"}


def test_no_figure_without_a_metric(results: Results) -> None:
    with pytest.raises(KeyError, match="no metric 'bleu'"):
        results.metric("bleu")


def test_sections_by_their_type(results: Results) -> None:
    languages = results.section(Languages)
    assert languages is not None
    assert languages.source == "en"
    assert results.section(Classes) is None
    assert results.speed("ml_ipd") is None
