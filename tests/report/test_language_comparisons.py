"""Comparisons in words."""

from __future__ import annotations

import doctest

from limbeck.formatting import ABSENT, MINUS
from limbeck.language_results import LanguageResults
from limbeck.report import language_comparisons
from limbeck.report.language_comparisons import (
    control_of,
    difference_in,
    difference_words,
    find_comparison,
    language_comparison_rows,
    macro_rows,
)


def test_the_examples_in_the_docstrings_hold() -> None:
    found = doctest.testmod(language_comparisons)
    assert found.attempted > 0
    assert found.failed == 0


def test_a_comparison_over_languages(language_results: LanguageResults) -> None:
    rows = macro_rows(language_results, "accuracy")
    assert len(rows) == 12
    row = rows[0]
    assert (row.title, row.labels, row.high, row.low) == (
        "ML-IPD against ML-DFT",
        "no labels",
        "+4.4 points",
        "+5.4 points",
    )
    assert (row.words.difference, row.words.range, row.words.clear) == ("+4.8 points", "+3.9 to +5.7", True)
    assert (row.words.t, row.words.t_range, row.words.p) == ("t(35) = 3.21", "+4.4 to +5.2", "p = 0.003")
    assert (row.words.bootstrap, row.words.holm) == ("p < 0.001", "p = 0.011")


def test_mrr_is_no_share_and_has_no_points(language_results: LanguageResults) -> None:
    row = macro_rows(language_results, "mrr")[0]
    assert (row.metric, row.words.difference, row.words.range) == ("MRR", "+0.024", "+0.015 to +0.033")
    assert row.high == "+0.020"


def test_an_interval_around_zero_is_not_clear(language_results: LanguageResults) -> None:
    transfer = next(row for row in macro_rows(language_results, "accuracy") if "Transfer" in row.title)
    assert not transfer.words.clear
    assert transfer.words.range == f"{MINUS}0.1 to +1.7"
    harmed = language_comparison_rows(language_results, "sw")[3]
    assert harmed.words.clear, "a loss can be as clear as a gain"


def test_what_is_not_defined_is_not_p_0(language_results: LanguageResults) -> None:
    comparison = find_comparison(language_results, "ml_ipd", "ml_dft", 16)
    german = difference_words(difference_in(comparison, "de"))
    assert (german.t, german.t_range, german.p, german.holm) == ("not defined", "", "not defined", "not defined")
    assert german.bootstrap == "p = 0.040"
    french = difference_words(difference_in(comparison, "fr"))
    assert (french.t, french.p, french.holm) == ("t(2) = 3.21", "p = 0.081", "p = 0.31")
    assert french.mcnemar[1] == "seed 1: 24 to 15, p = 0.20"


def test_what_was_not_compared_is_a_dash() -> None:
    words = difference_words(None)
    assert {words.difference, words.bootstrap, words.p, words.holm} == {ABSENT}
    assert not words.clear


def test_one_language_shows_all_comparisons(language_results: LanguageResults) -> None:
    rows = language_comparison_rows(language_results, "sw")
    assert len(rows) == 24
    assert rows[3].title == "ML-IPD against Transfer"
    assert rows[3].words.difference == f"{MINUS}3.8 points"
    assert language_comparison_rows(language_results, "en") == []


def test_the_control_is_transfer_and_without_labels_the_english_model(language_results: LanguageResults) -> None:
    none, some = (s for s in language_results.systems if s.name == "ml_ipd" and s.n_target in (0, 16))
    found = control_of(language_results, some)
    assert found
    assert (found.second, found.n_target, found.metric) == ("transfer", 16, "accuracy")
    comparison = find_comparison(language_results, "ml_ipd", "ml_dft", 0)
    assert comparison
    teacher = [comparison.model_copy(update={"second": "english_model", "n_target": n}) for n in (0, 16)]
    record = language_results.model_copy(update={"comparisons": teacher})
    assert control_of(record, none) is teacher[0]
    assert control_of(record, some) is None
