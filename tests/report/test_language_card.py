"""The model card of a cross-lingual student."""

from __future__ import annotations

import re
from typing import Any

import yaml

from limbeck.language_results import LanguageResults
from limbeck.report import render_language_card


def front_matter(card: str) -> dict[str, Any]:
    head = re.match(r"---\n(.*?\n)---\n", card, re.DOTALL)
    assert head
    return yaml.safe_load(head[1])


def test_front_matter_names_all_languages(language_results: LanguageResults) -> None:
    found = front_matter(render_language_card(language_results, "org/base", "mit"))
    assert found["language"] == ["en", *language_results.languages]
    assert (found["base_model"], found["license"], found["library_name"]) == ("org/base", "mit", "limbeck")


def test_what_is_unknown_is_left_out(language_results: LanguageResults) -> None:
    found = front_matter(render_language_card(language_results, None, None))
    assert not {"base_model", "license"} & set(found)


def test_a_language_called_no_is_no_truth_value(language_results: LanguageResults) -> None:
    record = language_results.model_copy(update={"languages": ["no", "de"]})
    assert front_matter(render_language_card(record, None, None))["language"] == ["en", "no", "de"]


def test_languages_verdict_use_and_limits(language_results: LanguageResults) -> None:
    card = render_language_card(language_results, None, None)
    assert "| French | high | 82.2 % | 0.911 | 99.3 % | +5.2 points (+2.4 to +8.0) | p = 0.040 |" in card
    assert "| English | source | 83.7 % | 0.919 |" in card
    for sentence in language_results.verdict:
        assert sentence in card
    assert "limbeck predict THIS_FOLDER" in card
    assert "- Swahili is left behind: 77.1 % of the teacher's accuracy on English (−19.0 points)." in card
    assert "- In Swahili distillation hurt: −3.8 points" in card
    assert "Spanish is left behind" not in card
    assert language_results.warnings[0] in card
    assert f"```sh\n{language_results.command}\n```" in card
    assert "\n\n\n" not in card


def test_the_card_of_another_budget(language_results: LanguageResults) -> None:
    card = render_language_card(language_results, None, None, n_target=0)
    assert "ML-IPD with no labels for each task" in card
    assert "| French | high | 80.6 %" in card
    assert card.count("ML-IPD against ML-DFT") == 1


def test_a_bare_record_makes_a_card(bare_language_results: LanguageResults) -> None:
    for record in (bare_language_results, bare_language_results.model_copy(update={"systems": []})):
        card = render_language_card(record, None, None)
        assert "None" not in card
        assert "\n\n\n" not in card


def test_foreign_text_breaks_nothing(hostile_language_results: LanguageResults) -> None:
    card = render_language_card(hostile_language_results, "a\n---\nlicense: mit", None)
    assert front_matter(card)["base_model"] == "a\n---\nlicense: mit"
    assert "\n````sh\n" in card
    assert "<script" not in card.replace(hostile_language_results.command, "")
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {7, 8}
