"""The page of any kind of run: complete, self-contained, safe."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from tests.report.conftest import KINDS, changed
from tests.report.parsed_page import Page

from limbeck.errors import StorageError
from limbeck.formatting import ABSENT
from limbeck.report import render_report, write_report
from limbeck.results.record import Results
from limbeck.results.sections import Disagreement, Disagreements

pytestmark = pytest.mark.slow

SHOWN = json.loads((Path(__file__).parent / "figures_shown.json").read_text(encoding="utf-8"))
NUMBER = re.compile(r"[−+]?\d[\d,.]*(?:–\d[\d,.]*)?")


def words(page: str) -> str:
    body = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    assert found
    return found[0]


def numbers(text: str) -> set[str]:
    return {number.rstrip(".,") for number in NUMBER.findall(html.unescape(re.sub(r"<[^>]*>", " ", text)))}


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_that_pages_of_limbeck_0_1_showed_is_there(kind: str, pages: dict[str, str]) -> None:
    page = re.sub(r"<style>.*?</style>|<title id=.*?</title>", "", pages[kind], flags=re.DOTALL)
    plots = " ".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    text = re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)
    assert set(SHOWN[kind]["text"]) - numbers(text) == set()
    assert set(SHOWN[kind]["plots"]) - numbers(plots) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_everything_in_the_record_is_on_the_page(
    kind: str, records: dict[str, Results], pages: dict[str, str]
) -> None:
    results, text = records[kind], words(pages[kind])
    run = results.run
    for sentence in [*results.verdict, *results.warnings, run.command, run.paper, *run.facts.values()]:
        assert sentence in text
    for system in results.systems:
        assert system.title in text
        assert system.detail in text
    for facts in (run.environment, run.data_fingerprints):
        for name, value in facts.items():
            assert name in text
            assert value in text
    used = {figure.metric for figure in results.figures}
    assert all(metric.title in text for metric in results.metrics if metric.key in used)


def test_what_only_classifiers_have(pages: dict[str, str], records: dict[str, Results]) -> None:
    text = words(pages["classification"])
    assert "seed 0: 141 to 92, p = 0.002" in text
    assert "Trained with an adapter (lora): 294,912 of 46,044,912 parameters (0.6 %)" in text
    assert "17 rows: refused" in text
    assert "the temperature 1.37, fitted on 431 development rows with gold labels" in text
    labels = next(s.labels for s in records["classification"].sections if s.kind == "classes")
    for label in labels:
        assert label.replace("_", "_<wbr>") in pages["classification"]


def test_what_only_runs_across_languages_have(pages: dict[str, str]) -> None:
    page = pages["ranking"]
    languages, text = section(page, "languages"), words(page)
    rows = [words(row) for row in re.findall(r"<tr.*?</tr>", languages, re.DOTALL)]
    assert any(row.startswith("Swahili low 68.2 % 56.4 %") and " hurt −3.8 points" in row for row in rows)
    assert languages.index("With 16 labels for each") < languages.index("<summary><bdi>With no labels")
    assert "The language of the instructions" in text
    assert words(section(page, "english-after-each-stage")).count("2 points or more lost") == 1
    assert "3 target languages from English: German, French, Swahili." in text


def test_what_only_students_that_write_have(pages: dict[str, str], records: dict[str, Results]) -> None:
    text = words(pages["generation"])
    samples = next(s.samples for s in records["generation"].sections if s.kind == "samples")
    for sample in samples:
        assert sample.prompt in text
        assert f"Held-out row {sample.row} " in text
        assert all(" ".join(answer.text.split()) in text for answer in sample.answers)
    assert "Too far off to be drawn: Student before (" in text
    assert "What the answers look like" in text


@pytest.mark.parametrize(("gold", "right"), [("a", "teacher"), ("b", "student"), ("c", "neither"), (None, "no label")])
def test_who_is_right_where_student_and_teacher_disagree(
    gold: str | None, right: str, bare: dict[str, Results]
) -> None:
    row = Disagreement(
        text="t", text_pair=None, gold=gold, teacher_label="a", teacher_confidence=0.61, student_label="b",
        student_confidence=0.52,
    )  # fmt: skip
    page = render_report(changed(bare["classification"], sections=[Disagreements(rows=[row])]))
    cells = re.split(r"<t[dh]\b", page.split('id="where-student-and-teacher-disagree-title"')[1].split("</table>")[0])
    assert [re.sub(r"<[^>]+>", " ", f"<td{cell}").split() for cell in cells[-5:]] == [
        ["t"], [gold or "–"], ["a", "61.0", "%"], ["b", "52.0", "%"], right.split(),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", ["pages", "hostile_pages"])
def test_the_page_asks_nothing_of_the_network(kind: str, which: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(which)[kind]
    page = Page(text)
    forbidden = {"script", "iframe", "object", "embed", "img", "image", "base", "form"}
    assert not {tag for tag, _ in page.tags} & forbidden
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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", ["pages", "hostile_pages"])
def test_ids_are_unique_and_links_lead_somewhere(kind: str, which: str, request: pytest.FixtureRequest) -> None:
    page = Page(request.getfixturevalue(which)[kind])
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        assert attributes.get("aria-labelledby", ids[0]) in ids
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in ids


@pytest.mark.parametrize("kind", KINDS)
def test_foreign_text_stays_text(kind: str, hostile_pages: dict[str, str]) -> None:
    text = hostile_pages[kind]
    assert "<script" not in text
    assert "\x00" not in text
    assert "\x1b" not in text
    shown = Page(text).words()
    for foreign in ("<script>alert(1)</script>", "{{ 7*7 }}", "$x_$", "\"&'"):
        assert foreign in shown


@pytest.mark.parametrize("kind", KINDS)
def test_tables_and_plots_can_be_heard(kind: str, pages: dict[str, str]) -> None:
    page = Page(pages[kind])
    assert all(attributes.get("scope") for tag, attributes in page.tags if tag == "th")
    regions = [attributes for _, attributes in page.tags if attributes.get("role") == "region"]
    assert regions
    assert all(attributes.get("aria-label") and attributes.get("tabindex") == "0" for attributes in regions)
    plots = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert plots
    assert all(attributes.get("role") == "img" and attributes.get("aria-labelledby") for attributes in plots)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels)), "no level is left out"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_empty_is_not_shown(kind: str, bare: dict[str, Results]) -> None:
    page = render_report(bare[kind])
    text = words(page)
    for absent in ("Is the difference real?", "Calibration", "Training", "Samples", "Mind this", "None", "nan"):
        assert absent not in text
    assert "<svg" not in page or kind == "ranking"


def test_figures_that_are_missing_are_explained(bare: dict[str, Results]) -> None:
    text = words(render_report(bare["classification"]))
    assert "Agreement and KL need the teacher's output on the held-out rows, which was not available." in text
    assert "Not measured on these rows, or not asked for: Accuracy, Macro F1 and ECE." in text
    assert ABSENT not in words(render_report(bare["generation"]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_record_gives_the_same_bytes(kind: str, records: dict[str, Results]) -> None:
    results = changed(records[kind], curves=[], sections=records[kind].sections[:1])
    assert render_report(results) == render_report(results)


def test_long_texts_fold_and_many_rows_are_counted(records: dict[str, Results]) -> None:
    found = records["classification"].section(Disagreements)
    assert found
    many = Disagreements(rows=found.rows * (120 // len(found.rows)))
    page = render_report(changed(records["classification"], sections=[many], curves=[], figures=[]))
    assert f"40 of {len(many.rows)} held-out rows" in words(page)
    assert '<details class="whole"' in page


def test_write_report_replaces_an_older_one(bare: dict[str, Results], tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(bare["generation"], path)
    write_report(bare["classification"], path)
    assert path.read_text(encoding="utf-8") == render_report(bare["classification"])
    assert list(path.parent.iterdir()) == [path]


def test_write_report_says_what_failed(bare: dict[str, Results], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="could not be written"):
        write_report(bare["classification"], tmp_path / "file" / "report.html")


def test_importing_the_report_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'transformers', 'matplotlib', 'numpy', 'yaml', 'huggingface_hub'}"
    code = f"import sys, limbeck.report; print(sorted({heavy} & set(sys.modules)))"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == "[]"
