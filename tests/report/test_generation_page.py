"""The report of a generating student: its verdict, its samples, and what is left out."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from limbeck.evaluation.generation.verdict import generation_verdict
from limbeck.formatting import ABSENT
from limbeck.generation_results import GenerationResults
from limbeck.report import read_any_results, render_generation_report, write_report
from limbeck.results import Interval


class Text(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.feed(html)
        self.close()

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def words(html: str) -> str:
    return " ".join(" ".join(Text(html).parts).split())


@pytest.fixture(scope="module")
def undrawn(generation_results: GenerationResults) -> GenerationResults:
    """The full record but for what is drawn: drawing takes nearly all of the time."""
    systems = [s.model_copy(update={"perplexity": None, "kl_to_teacher_nats": None})
               for s in generation_results.figures.systems]  # fmt: skip
    figures = generation_results.figures.model_copy(update={"retention": [], "systems": systems})
    return generation_results.model_copy(update={"curves": [], "figures": figures})


def test_everything_in_the_record_is_on_the_page(undrawn: GenerationResults) -> None:
    text = words(render_generation_report(undrawn))
    facts = [undrawn.command, undrawn.paper, undrawn.teacher, undrawn.student, undrawn.task, undrawn.decoding or ""]
    for fact in [*undrawn.verdict, *undrawn.warnings, *facts, *undrawn.environment.values()]:
        assert fact in text
    for system in undrawn.figures.systems:
        assert system.title in text
        assert system.detail in text
    for sample in undrawn.figures.samples:
        assert sample.prompt in text
        assert all(answer.text in text for answer in sample.answers)
    assert f"Held-out row {undrawn.figures.samples[0].row} " in text
    assert "3 seeds" in text


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        ((0.004, 0.02), "Distilling beat plain fine-tuning on the same budget: +1.2 points of ROUGE-L"),
        ((-0.02, -0.004), "Distilling was worse than plain fine-tuning on the same budget: −1.2 points of ROUGE-L"),
        ((-0.004, 0.02), "It is not settled whether distilling beats plain fine-tuning on the same budget"),
    ],
    ids=["better", "worse", "not settled"],
)
def test_a_written_report_says_the_verdict(
    difference: tuple[float, float], said: str, undrawn: GenerationResults, tmp_path: Path
) -> None:
    low, high = difference
    interval = Interval(value=(low + high) / 2, low=low, high=high)
    changed = [
        c.model_copy(update={"difference": interval, "t_test_p_value": 0.01})
        if (c.second, c.metric) == ("fine_tuned", "rouge_l")
        else c
        for c in undrawn.figures.comparisons
    ]
    figures = undrawn.figures.model_copy(update={"comparisons": changed})
    record = undrawn.model_copy(update={"figures": figures, "verdict": generation_verdict(figures, undrawn.costs)})
    (tmp_path / "results.json").write_text(record.model_dump_json(), encoding="utf-8")
    found = read_any_results(tmp_path)
    assert found == record
    write_report(found, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert said in words(html)
    verdicts = [v for v in ("Distilling beat plain", "Distilling was worse", "It is not settled") if v in words(html)]
    assert verdicts == [said[: len(verdicts[0])]]
    bold = "<strong>" in html.partition('id="tests-title"')[2].partition("ROUGE-L")[2].partition("</tr>")[0]
    assert bold == ("not settled" not in said)


def test_one_seed_is_said_to_cover_little(undrawn: GenerationResults) -> None:
    one = [s.model_copy(update={"seeds": s.seeds[:1]}) for s in undrawn.figures.systems]
    figures = undrawn.figures.model_copy(update={"systems": one})
    record = undrawn.model_copy(update={"figures": figures, "seeds": [0], "verdict": generation_verdict(figures, [])})
    text = words(render_generation_report(record))
    assert "One training seed: the intervals are over held-out rows." in text
    assert " 1 seed ·" in text
    assert "Figures of each seed" not in text


def test_answers_are_escaped_folded_and_marked(undrawn: GenerationResults) -> None:
    sample = undrawn.figures.samples[0]
    odd = ["<script>alert(1)</script>", " \n ", "on and on " * 60]
    answers = [a.model_copy(update={"text": text, "cut_off": i == 2}) for i, (a, text) in
               enumerate(zip(sample.answers, odd, strict=True))]  # fmt: skip
    figures = undrawn.figures.model_copy(update={"samples": [sample.model_copy(update={"answers": answers})]})
    html = render_generation_report(undrawn.model_copy(update={"figures": figures}))
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "(empty)" in html
    assert html.count("· cut off") == 1
    assert html.count('<details class="whole"') == 1


def test_absent_figures_leave_no_section(bare_generation_results: GenerationResults) -> None:
    html = render_generation_report(bare_generation_results)
    text = words(html)
    assert "<svg" not in html
    assert ABSENT not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL).partition("</table>")[0]
    for absent in ("Is the difference real?", "What they write", "Samples", "Training", "Mind this"):
        assert absent not in text


def test_the_same_record_gives_the_same_bytes(generation_results: GenerationResults) -> None:
    figures = generation_results.figures.model_copy(update={"retention": generation_results.figures.retention[:1]})
    record = generation_results.model_copy(update={"curves": [], "figures": figures})
    first = render_generation_report(record)
    assert first.count("<svg") == 3
    assert first == render_generation_report(record)
