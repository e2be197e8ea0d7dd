"""The key figures of a cross-lingual run."""

from __future__ import annotations

from limbeck.formatting import MINUS
from limbeck.language_results import LanguageResults
from limbeck.report.language_card import render_language_card
from limbeck.report.language_summary import language_key_figures


def test_key_figures_are_those_of_the_largest_budget(language_results: LanguageResults) -> None:
    figures = language_key_figures(language_results)
    assert {figure.title: figure.value for figure in figures} == {
        "macro accuracy of ML-IPD": "78.7 %",
        "English model on English": "82.8 %",
        "macro accuracy of the best other system": "77.9 %",
        "of the accuracy on English kept": "95.1 %",
        "on a device for ML-IPD": "1.32 h",
    }
    macro, _, best, kept, cost = (figure.detail for figure in figures)
    assert macro == "12 languages, 128 labels for each task and language; 95 % interval 77.5 to 79.9 %"
    assert best == f"Transfer; ML-IPD has +0.8 points (95 % interval {MINUS}0.1 to +1.7)"
    assert kept == "least in Swahili: 77.1 %"
    assert cost == f"the English model's 0.41 h included; saving against ML-DFT: {MINUS}20.0 %"


def test_a_best_other_that_was_not_compared_has_no_interval(language_results: LanguageResults) -> None:
    record = language_results.model_copy(update={"comparisons": []})
    assert language_key_figures(record)[2].detail == "Transfer; ML-IPD has +0.8 points"


def test_what_cannot_be_said_is_left_out(bare_language_results: LanguageResults) -> None:
    assert [figure.title for figure in language_key_figures(bare_language_results)] == ["macro accuracy of ML-IPD"]
    assert language_key_figures(bare_language_results.model_copy(update={"systems": []})) == []


def test_a_system_at_chance_is_not_headed_by_what_it_keeps(language_results: LanguageResults) -> None:
    titles = [figure.title for figure in language_key_figures(language_results)]
    assert any(title.endswith("kept") for title in titles)
    low = language_key_figures(language_results.model_copy(update={"most_frequent": 0.99}))
    assert not any(figure.title.endswith("kept") for figure in low)
    (constant,) = (figure for figure in low if "most frequent answer" in figure.title)
    assert constant.value == "99.0 %"
    card = render_language_card(language_results.model_copy(update={"most_frequent": 0.99}), None, None)
    assert "| Always the most frequent answer | – | 99.0 % |" in card
