"""Languages one by one."""

from __future__ import annotations

import pytest

from limbeck.formatting import ABSENT, EN_DASH, MINUS
from limbeck.language_results import LanguageResults, LanguageSystem
from limbeck.report.language_rows import language_parts, language_rows, left_behind, left_behind_order
from limbeck.report.retention import focus_of


def focus(results: LanguageResults, n_target: int | None = None) -> LanguageSystem:
    system = focus_of(results, n_target)
    assert system
    return system


def test_one_row_per_language_in_the_order_of_the_run(language_results: LanguageResults) -> None:
    rows = language_rows(language_results, focus(language_results))
    assert [row.code for row in rows] == language_results.languages
    french = rows[1]
    assert (french.name, french.resource, french.labels) == ("French", "high", "128 labels")
    assert french.records == ["204", "300"]
    assert (french.accuracy.text, french.accuracy.range) == ("82.2 %", ""), "no interval of a mean over tasks"
    topic, entailment = french.by_task
    assert (topic[0].text, topic[0].range) == ("84.7 %", f"80.6{EN_DASH}88.8")
    assert (entailment[1].text, entailment[1].range) == ("0.898", f"0.876{EN_DASH}0.920")
    assert (french.words.difference, french.words.range) == ("+5.2 points", "+2.4 to +8.0")
    assert (french.words.bootstrap, french.words.p, french.words.holm) == ("p = 0.040", "p = 0.081", "p = 0.31")
    assert rows[0].words.p == "not defined"


def test_a_single_task_keeps_its_interval(bare_language_results: LanguageResults) -> None:
    (row,) = language_rows(bare_language_results, bare_language_results.systems[0])
    assert (row.accuracy.text, row.accuracy.range, row.by_task) == ("82.3 %", f"78.2{EN_DASH}86.4", [])
    assert (row.kept, row.words.difference) == (ABSENT, ABSENT)


def test_a_task_that_a_language_lacks_is_a_dash(language_results: LanguageResults) -> None:
    system = focus(language_results)
    cells = [c for c in system.cells if (c.lang, c.task) != ("de", "topic")]
    (row, *_) = language_rows(language_results, system.model_copy(update={"cells": cells}))
    assert row.records == [ABSENT, "300"]
    assert row.by_task[0][0].text == ABSENT
    assert row.accuracy.text == row.by_task[1][0].text


def test_the_language_that_keeps_the_least_comes_first(language_results: LanguageResults) -> None:
    system = focus(language_results)
    assert left_behind_order(language_results, system)[:3] == ["sw", "ur", "hi"]
    (first, *others) = left_behind(language_results, system)
    assert (first.name, first.resource, first.kept, first.accuracy) == ("Swahili", "low", "77.1 %", "63.8 %")
    assert first.kept_share == pytest.approx(0.771, abs=1e-3)
    assert first.gap == f"{MINUS}19.0 points"
    assert (first.other_title, first.other_mark, first.other_accuracy) == ("Transfer", "student_before", "67.6 %")
    assert first.other_gap == "+3.8 points"
    assert (first.distillation, first.words.difference, first.words.range) == (
        "hurt",
        f"{MINUS}3.8 points",
        f"{MINUS}6.6 to {MINUS}1.0",
    )
    assert first.words.bootstrap == "p = 0.040"
    assert others[0].distillation == "no clear effect"


def test_distillation_helped_where_the_interval_lies_above_zero(language_results: LanguageResults) -> None:
    dft = [c.model_copy(update={"second": "transfer"}) for c in language_results.comparisons if c.second == "ml_dft"]
    record = language_results.model_copy(update={"comparisons": dft})
    assert {row.name: row.distillation for row in left_behind(record, focus(record))}["Urdu"] == "helped"


def test_without_english_the_order_is_that_of_the_run(language_results: LanguageResults) -> None:
    systems = [s for s in language_results.systems if s.name == "ml_ipd"]
    record = language_results.model_copy(update={"systems": systems, "comparisons": []})
    rows = left_behind(record, focus(record))
    assert [row.name for row in rows][:2] == ["German", "French"]
    assert (rows[0].kept, rows[0].gap, rows[0].other_title, rows[0].distillation) == (ABSENT,) * 4


def test_a_part_holds_all_systems_and_the_source_comes_last(language_results: LanguageResults) -> None:
    *targets, source = language_parts(language_results)
    assert [part.code for part in targets] == language_results.languages
    assert targets[0].records == "topic: 204 records, 7 candidates; entailment: 300 records, 3 candidates"
    assert len(targets[0].rows) == len(language_results.systems)
    assert len(targets[0].comparisons) == len(language_results.comparisons)
    assert (source.code, source.resource, source.comparisons) == ("en", "source", [])


def test_a_difference_that_was_not_tested_has_no_p(language_results: LanguageResults) -> None:
    rows = language_parts(language_results)[0].rows
    transfer = next(row for row in rows if row.title == "Transfer")
    assert (transfer.words.difference, transfer.words.range, transfer.words.bootstrap) == ("+4.0 points", "", ABSENT)
    baseline = next(row for row in rows if row.title == "ML-DFT")
    assert baseline.words.difference == ABSENT
