"""Tables over the systems of a cross-lingual run."""

from __future__ import annotations

import pytest

from limbeck.language_results import LanguageResults
from limbeck.report.formatting import ABSENT, EN_DASH, MINUS
from limbeck.report.language_tables import cost_rows, english_rows, gate_rows, seed_rows, system_rows, task_rows


def test_systems_stand_under_their_label_budget(language_results: LanguageResults) -> None:
    groups = system_rows(language_results)
    assert [group.labels for group in groups] == ["no labels", "16 labels", "128 labels"]
    assert [len(group.rows) for group in groups] == [6, 5, 5]
    row = groups[2].rows[0]
    assert (row.title, row.mark, row.focus) == ("ML-IPD", "distilled", True)
    assert (row.accuracy, row.accuracy_range) == ("78.7 %", f"77.5{EN_DASH}79.9")
    assert (row.mrr, row.mrr_range) == ("0.893", f"0.886{EN_DASH}0.900")
    assert (row.high, row.low, row.english) == ("81.4 %", "73.3 %", "83.7 %")
    assert (row.kept, row.device_hours, row.saving) == ("95.1 %", "1.32 h", ABSENT)
    assert groups[2].rows[1].saving == f"{MINUS}20.0 %"
    assert not groups[2].rows[1].focus


def test_what_a_record_lacks_is_a_dash(bare_language_results: LanguageResults) -> None:
    row = system_rows(bare_language_results)[0].rows[0]
    assert (row.low, row.english, row.kept, row.device_hours, row.saving) == (ABSENT,) * 5
    assert task_rows(bare_language_results) == []
    assert seed_rows(bare_language_results) == []
    assert cost_rows(bare_language_results) == []
    assert gate_rows(bare_language_results) == []
    assert english_rows(bare_language_results) == []


def test_tasks_are_shown_apart_without_english(language_results: LanguageResults) -> None:
    header, first, *_ = task_rows(language_results)
    assert header[2:] == ["topic, accuracy", "topic, MRR", "entailment, accuracy", "entailment, MRR"]
    # The mean of the languages is 0.7598; the English model lies 0.031 below, topics 0.02 above.
    assert first == ["English model", "no labels", "74.9 %", "0.874", "69.9 %", "0.849"]


def test_seeds_are_macro_averages(language_results: LanguageResults) -> None:
    header, first, second, third, *_ = seed_rows(language_results)
    assert header == ["System", "Target labels", "Seed", "Macro accuracy", "Macro MRR"]
    assert [row[2:4] for row in (first, second, third)] == [["0", "71.4 %"], ["1", "72.4 %"], ["2", "73.4 %"]]


def test_english_after_each_stage_with_alarm(language_results: LanguageResults) -> None:
    rows = english_rows(language_results)
    assert [row.alarm for row in rows] == [False, False, True]
    assert (rows[2].title, rows[2].stage, rows[2].change) == ("Transfer", "target", f"{MINUS}2.7 points")


def test_the_gate_lists_the_strictest_language_first(language_results: LanguageResults) -> None:
    rows = gate_rows(language_results)
    assert (rows[0].name, rows[0].share, rows[0].percent) == ("Swahili", "62.0 %", pytest.approx(62))
    assert rows[-1].name == "German"


def test_a_bar_never_leaves_its_box(hostile_language_results: LanguageResults) -> None:
    assert [row.percent for row in gate_rows(hostile_language_results)] == [90, 100]


def test_costs_name_the_english_models_part(language_results: LanguageResults) -> None:
    header, _, ipd, dft, bl, *_ = cost_rows(language_results)
    assert len(header) == len(ipd)
    assert ipd == ["ML-IPD", "no labels", "1", "1.32 h", "0.41 h", "40,920,000", "11.3 GB", "0.41 kWh", ABSENT]
    assert dft[4] == "0.000 h"
    assert (bl[7], bl[8]) == (ABSENT, f"{MINUS}46.7 %")
