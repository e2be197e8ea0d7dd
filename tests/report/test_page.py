"""The page: complete, self-contained, safe."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.report.parsed_page import Page

from limbeck.errors import StorageError
from limbeck.formatting import ABSENT
from limbeck.generation_results import GenerationResults
from limbeck.language_results import LanguageResults
from limbeck.report import (
    generation_page,
    language_page,
    render_generation_report,
    render_language_report,
    render_report,
    write_report,
)
from limbeck.report import page as page_module
from limbeck.report.figures import Figures
from limbeck.report.generation_figures import GenerationDrawings
from limbeck.report.language_figures import LanguageFigures
from limbeck.results import Disagreement, Results

PAGES = [
    "html",
    "hostile_html",
    "language_html",
    "hostile_language_html",
    "generation_html",
    "hostile_generation_html",
]


def render_with(results: Results, figures: Figures) -> str:
    """Render with figures that were drawn before: drawing takes nearly all of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_module, "draw_figures", lambda _: figures)
        return render_report(results)


def render_languages_with(results: LanguageResults, figures: LanguageFigures) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language_page, "draw_language_figures", lambda _: figures)
        return render_language_report(results)


def render_generation_with(results: GenerationResults, drawings: GenerationDrawings) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation_page, "draw_generation_figures", lambda _: drawings)
        return render_generation_report(results)


@pytest.fixture(scope="module")
def html(full_results: Results, full_figures: Figures) -> str:
    return render_with(full_results, full_figures)


@pytest.fixture(scope="module")
def hostile_html(hostile_results: Results, hostile_figures: Figures) -> str:
    return render_with(hostile_results, hostile_figures)


@pytest.fixture(scope="module")
def language_html(language_results: LanguageResults, language_figures: LanguageFigures) -> str:
    return render_languages_with(language_results, language_figures)


@pytest.fixture(scope="module")
def hostile_language_html(hostile_language_results: LanguageResults, hostile_language_figures: LanguageFigures) -> str:
    return render_languages_with(hostile_language_results, hostile_language_figures)


@pytest.fixture(scope="module")
def generation_html(generation_results: GenerationResults, generation_drawings: GenerationDrawings) -> str:
    return render_generation_with(generation_results, generation_drawings)


@pytest.fixture(scope="module")
def hostile_generation_html(
    hostile_generation_results: GenerationResults, hostile_generation_drawings: GenerationDrawings
) -> str:
    return render_generation_with(hostile_generation_results, hostile_generation_drawings)


def test_everything_in_the_record_is_on_the_page(html: str, full_results: Results) -> None:
    words = Page(html).words()
    for sentence in [*full_results.verdict, *full_results.warnings, full_results.command, full_results.paper]:
        assert sentence in words
    for system in full_results.systems:
        assert system.title in words
        assert system.detail in words
    for facts in (full_results.environment, full_results.data_fingerprints):
        for name, value in facts.items():
            assert name in words
            assert value in words
    for label in full_results.labels:
        assert label.replace("_", "_<wbr>") in html
    assert "p < 0.001" in words
    assert "seed 0: 141 to 92, p = 0.002" in words


@pytest.mark.parametrize(("gold", "right"), [("a", "teacher"), ("b", "student"), ("c", "neither"), (None, "no label")])
def test_who_is_right_where_student_and_teacher_disagree(gold: str | None, right: str, bare_results: Results) -> None:
    row = Disagreement(
        text="t", text_pair=None, gold=gold, teacher_label="a", teacher_confidence=0.61, student_label="b",
        student_confidence=0.52,
    )  # fmt: skip
    html = render_report(bare_results.model_copy(update={"disagreements": [row]}))
    cells = html.split('id="disagreements-title"')[1].split("</table>")[0].split("<td")[1:]
    assert [re.sub(r"<[^>]+>", " ", f"<td{cell}").split() for cell in cells] == [
        ["t"], [gold or "–"], ["a", "61.0", "%"], ["b", "52.0", "%"], right.split(),
    ]  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_the_page_asks_nothing_of_the_network(name: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(name)
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {
        "script",
        "iframe",
        "object",
        "embed",
        "img",
        "image",
        "base",
        "form",
    }
    for tag, attributes in page.tags:
        for attribute, value in attributes.items():
            assert not attribute.startswith("on")
            if attribute in ("href", "src", "srcset", "action", "data", "poster"):
                assert (value or "").startswith("#") or (tag, value) == ("link", "data:,")
            if attribute != "xmlns":
                assert "://" not in (value or "")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    assert not re.search(r"@import|url\(|://", style[1])


@pytest.mark.parametrize("name", PAGES)
def test_ids_are_unique_and_links_lead_somewhere(name: str, request: pytest.FixtureRequest) -> None:
    page = Page(request.getfixturevalue(name))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        assert attributes.get("aria-labelledby", ids[0]) in ids
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in ids


@pytest.mark.parametrize("name", ["hostile_html", "hostile_language_html", "hostile_generation_html"])
def test_foreign_text_stays_text(name: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(name)
    assert "<script" not in text
    assert "\x00" not in text
    assert "\x1b" not in text
    words = Page(text).words()
    assert "<script>alert(1)</script>" in words
    assert "{{ 7*7 }}" in words
    assert "$x_$" in words
    assert "\"&'" in words


@pytest.mark.parametrize("name", PAGES)
def test_every_header_cell_has_a_scope(name: str, request: pytest.FixtureRequest) -> None:
    page = Page(request.getfixturevalue(name))
    assert all(attributes.get("scope") for tag, attributes in page.tags if tag == "th")


def test_absent_figures_are_dashes_and_empty_sections_are_gone(bare_results: Results) -> None:
    html = render_report(bare_results)
    words = Page(html).words()
    assert html.count(f"<td>{ABSENT}</td>") == 5
    assert "which the held-out rows lack" in words
    assert "<svg" not in html
    for absent in (
        "Is the difference real?",
        "Calibration",
        "Where student and teacher disagree",
        "Mind this",
    ):
        assert absent not in words


def test_the_same_record_gives_the_same_bytes(full_results: Results) -> None:
    record = full_results.model_copy(update={"systems": full_results.systems[-1:], "curves": []})
    first = render_report(record)
    assert first.count("<svg") == 4
    assert first == render_report(record)


def test_long_texts_fold_and_many_rows_are_counted(full_results: Results) -> None:
    many = full_results.model_copy(
        update={"disagreements": full_results.disagreements * 10, "curves": [], "systems": []}
    )
    html = render_report(many)
    assert "40 of 120 held-out rows" in Page(html).words()
    assert '<details class="whole"' in html


def test_write_report_replaces_an_older_one(bare_results: Results, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(bare_results, path)
    write_report(bare_results, path)
    assert path.read_text(encoding="utf-8") == render_report(bare_results)
    assert list(path.parent.iterdir()) == [path]


def test_write_report_says_what_failed(bare_results: Results, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="could not be written"):
        write_report(bare_results, tmp_path / "file" / "report.html")


def test_importing_the_report_loads_nothing_heavy() -> None:
    code = (
        "import sys, limbeck.report; "
        "print(sorted({'torch', 'transformers', 'matplotlib', 'numpy', 'yaml'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert found.stdout.strip() == "[]"
