"""Tables over the systems of a cross-lingual run."""

from __future__ import annotations

import pytest

from limbeck.formatting import ABSENT, EN_DASH, MINUS
from limbeck.language_results import LanguageResults, Money
from limbeck.report.language_tables import (
    cost_rows,
    english_rows,
    gate_rows,
    official_rows,
    seed_rows,
    system_rows,
    task_rows,
)
from limbeck.results import Interval


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
    assert official_rows(bare_language_results) == []
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
    assert dft[4] == "0 h"
    assert (bl[7], bl[8]) == (ABSENT, f"{MINUS}46.7 %")


def test_money_has_a_column_only_where_the_run_has_a_rate(language_results: LanguageResults) -> None:
    assert "Money" not in cost_rows(language_results)[0]
    money = Money(amount=1234.5, currency="EUR")
    first, *others = language_results.costs
    costs = [first.model_copy(update={"money": money}), *others]
    header, row, other, *_ = cost_rows(language_results.model_copy(update={"costs": costs}))
    assert (header[-1], row[-1], other[-1]) == ("Money", "1,234.50 EUR", ABSENT)
    assert len(header) == len(row) == len(other)


def test_figures_of_single_tasks_stand_beside_their_languages(official_language_results: LanguageResults) -> None:
    header, *rows = official_rows(official_language_results)
    assert header == ["Task", "System", "Target labels", "Mean of target languages", "English", "German", "French"]
    assert [row[:3] for row in rows] == [
        ["topic, nDCG", "ML-IPD", "16 labels"],
        ["entailment, span F1", "English model", "no labels"],
        ["entailment, span F1", "ML-IPD", "16 labels"],
    ]
    assert rows[0][3:] == ["0.700", f"0.900 (0.880{EN_DASH}0.920)", f"0.800 (0.780{EN_DASH}0.820)",
                           f"0.600 (0.580{EN_DASH}0.620)"]  # fmt: skip
    assert rows[1][3:] == ["0.500", ABSENT, f"0.500 (0.480{EN_DASH}0.520)", ABSENT]


def test_a_figure_of_0_is_a_figure(official_language_results: LanguageResults) -> None:
    nothing = Interval(value=0, low=0, high=0)
    systems = [
        s.model_copy(update={"cells": [c.model_copy(update={"ndcg": nothing, "span_f1": None}) for c in s.cells]})
        for s in official_language_results.systems
    ]
    rows = official_rows(official_language_results.model_copy(update={"systems": systems}))
    assert rows[1][3:5] == ["0.000", f"0.000 (0.000{EN_DASH}0.000)"]
