"""The page of a cross-lingual run; what holds for all pages is in test_page.py."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from limbeck.formatting import ABSENT
from limbeck.language_results import LanguageResults
from limbeck.report import language_page, render_language_report, write_report
from limbeck.report.language_figures import LanguageFigures


def words(page: str) -> str:
    body = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def render_with(results: LanguageResults, figures: LanguageFigures) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language_page, "draw_language_figures", lambda _: figures)
        return render_language_report(results)


@pytest.fixture(scope="module")
def page(language_results: LanguageResults, language_figures: LanguageFigures) -> str:
    return render_with(language_results, language_figures)


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    assert found
    return found[0]


def test_everything_in_the_record_is_on_the_page(page: str, language_results: LanguageResults) -> None:
    record, text = language_results, words(page)
    for sentence in [*record.verdict, *record.warnings, record.command, record.pairing, record.prompts, record.scorer]:
        assert sentence in text
    for facts in (record.environment, record.data_fingerprints, record.language_names):
        for value in facts.values():
            assert value in text
    for use in record.records:
        assert use in text
    assert page.count("<svg") == 2 + 1 + 9 + 6


def test_the_order_is_verdict_warnings_figures_tables(page: str) -> None:
    places = [
        page.index(text)
        for text in (
            "<h1",
            'class="verdict"',
            'class="notice"',
            'class="keys"',
            'id="systems"',
            'id="heat"',
            'id="behind"',
            'id="languages"',
            'id="tests"',
            'id="english"',
            'id="gate"',
            'id="costs"',
            'id="training"',
            'id="made"',
            'id="again"',
        )
    ]
    assert places == sorted(places)


def test_every_language_has_its_row_with_all_that_was_asked(page: str) -> None:
    table = section(page, "languages")
    rows = [words(row) for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)]
    french = next(row for row in rows if row.startswith("French"))
    assert french == (
        "French high 204 · 300 82.2 % 0.911 99.3 % +5.2 points +2.4 to +8.0 p = 0.040 p = 0.081 p = 0.31 128 "
        "84.7 % 80.6–88.8 0.923 0.901–0.945 79.7 % 75.6–83.8 0.898 0.876–0.920"
    )
    german = next(row for row in rows if row.startswith("German"))
    assert "not defined not defined" in german


def test_the_language_of_the_instructions_stands_apart(page: str) -> None:
    table = section(page, "languages")
    before, _, after = table.partition("The language of the instructions")
    assert "<bdi>English</bdi>" not in before
    assert "<bdi>English</bdi>" in after


def test_languages_left_behind_and_harm_are_named(page: str) -> None:
    rows = [words(row) for row in re.findall(r"<tr>.*?</tr>", section(page, "behind"), re.DOTALL)]
    assert rows[1].startswith("Swahili low 77.1 % 63.8 % −19.0 points Transfer 67.6 % +3.8 points hurt −3.8 points")


def test_the_largest_budget_is_open_and_the_others_fold(page: str) -> None:
    behind = section(page, "behind")
    assert behind.index("With 128 labels for each") < behind.index("<details>") < behind.index("With 16 labels")
    assert words(behind).count("With no labels") == 1


def test_an_alarm_is_shown(page: str) -> None:
    assert words(section(page, "english")).count("2 points or more lost") == 1


def test_comparisons_of_both_metrics(page: str) -> None:
    tests = words(section(page, "tests"))
    assert "ML-IPD against ML-DFT no labels +4.8 points +3.9 to +5.7 p < 0.001 t(35) = 3.21" in tests
    assert "+0.024 +0.015 to +0.033" in tests


def test_a_bare_run_has_no_empty_sections(bare_language_results: LanguageResults) -> None:
    page = render_language_report(bare_language_results)
    text = words(page)
    for absent in ("Is the difference real?", "What the gate kept", "Costs", "Training", "Kept in each language"):
        assert absent not in text
    assert "<svg" not in page
    assert "1 target language from en: de" in text
    assert f"<td>{ABSENT}</td>" in page
    assert "None" not in text
    assert "nan" not in text


def test_a_record_without_systems_makes_a_page(bare_language_results: LanguageResults) -> None:
    page = render_language_report(bare_language_results.model_copy(update={"systems": []}))
    assert "Which languages are left behind" not in page


def test_write_report_tells_the_kinds_apart(bare_language_results: LanguageResults, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(bare_language_results, path)
    assert path.read_text(encoding="utf-8") == render_language_report(bare_language_results)


def test_figures_of_single_tasks_and_money_are_shown_and_explained(
    page: str, language_figures: LanguageFigures, official_language_results: LanguageResults
) -> None:
    text = words(render_with(official_language_results, language_figures))
    for there in ("Figures of single tasks", "entailment, span F1", "0.500 (0.480–0.520)", "Not the entity F1",
                  "3.30 EUR", "Money is device hours times the rate"):  # fmt: skip
        assert there in text
        assert there not in words(page)
