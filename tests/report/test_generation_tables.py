"""The tables of a generating student as text."""

from __future__ import annotations

import pytest

from limbeck.formatting import ABSENT, perplexity_text
from limbeck.generation_results import GenerationResults, OneAnswer, WrittenText
from limbeck.report.generation_page import render_generation_report
from limbeck.report.generation_tables import (
    ONE_ANSWER,
    difference_text,
    generation_comparison_rows,
    generation_headline,
    generation_headline_rows,
    generation_seed_rows,
    generation_title,
    loss_rows,
    one_answer_text,
    written_rows,
)
from limbeck.results import Interval


@pytest.mark.parametrize(
    ("value", "text"),
    [(7.126, "7.13"), (9.996, "10.0"), (21.66, "21.7"), (99.96, "100"), (31022.4, "31,022"), (float("inf"), "–")],
)
def test_perplexities(value: float, text: str) -> None:
    assert perplexity_text(value) == text


def test_only_columns_that_say_something_are_there(
    generation_results: GenerationResults, bare_generation_results: GenerationResults
) -> None:
    header, *rows = generation_headline_rows(generation_results, intervals=False)
    assert header == [
        "System", "ROUGE-L", "Exact match", "Perplexity", "KL, nats", "Agreement", "Parameters", "Writes", "Memory",
    ]  # fmt: skip
    assert [row[0] for row in rows] == ["Teacher", "Student before", "Fine-tuned", "Distilled"]
    assert rows[0][4:6] == ["–", "–"]
    assert [c.title for c in generation_headline(bare_generation_results.figures)] == ["Parameters"]


def test_the_headline_has_each_figure_with_its_interval(generation_results: GenerationResults) -> None:
    (student,) = (s for s in generation_results.figures.systems if s.name == "distilled")
    (row,) = (r for r in generation_headline_rows(generation_results) if r[0] == "Distilled")
    rouge, perplexity, kl = student.rouge_l, student.perplexity, student.kl_to_teacher_nats
    assert rouge
    assert perplexity
    assert kl
    assert row[1] == f"{rouge.value * 100:.1f} % ({rouge.low * 100:.1f}–{rouge.high * 100:.1f})"
    assert row[3] == f"{perplexity.value:.1f} ({perplexity.low:.1f}–{perplexity.high:.1f})"
    assert row[4] == f"{kl.value:.3f} ({kl.low:.3f}–{kl.high:.3f})"
    assert row[6:] == ["11.0 M (44.0 MB)", "1,420 /s (batch 8)", "402 MB"]


def test_differences_are_in_points_or_in_nats(generation_results: GenerationResults) -> None:
    assert difference_text("rouge_l", 0.0312) == "+3.1 points"
    assert difference_text("nll_nats", -0.25) == "−0.250 nats"
    assert difference_text("nll_nats", 0.25, unit=False) == "+0.250"
    rows = {(row.title, row.metric): row for row in generation_comparison_rows(generation_results.figures)}
    (found,) = (
        c for c in generation_results.figures.comparisons if (c.second, c.metric) == ("fine_tuned", "nll_nats")
    )
    row = rows["Distilled against Fine-tuned", "Loss per token"]
    assert row.difference == f"−{abs(found.difference.value):.3f} nats"
    assert row.range == f"−{abs(found.difference.low):.3f} to −{abs(found.difference.high):.3f}"
    assert (row.better, row.clear, len(row.per_seed)) == ("less is better", True, 3)
    assert rows["Distilled against Teacher", "ROUGE-L"].better == "more is better"


def test_an_interval_that_touches_zero_is_not_clear(generation_results: GenerationResults) -> None:
    figures = generation_results.figures
    touching = figures.comparisons[0].model_copy(update={"difference": Interval(value=0.1, low=0.0, high=0.2)})
    (row,) = generation_comparison_rows(figures.model_copy(update={"comparisons": [touching]}))
    assert not row.clear


def test_seeds_losses_and_texts(
    generation_results: GenerationResults, bare_generation_results: GenerationResults
) -> None:
    figures = generation_results.figures
    header, *rows = generation_seed_rows(figures)
    assert [row[:2] for row in rows] == [
        [title, str(seed)] for title in ("Student before", "Fine-tuned", "Distilled") for seed in (0, 1, 2)
    ]
    assert header[2:] == [
        "ROUGE-L", "Exact match", "Perplexity", "Loss per token", "KL to teacher", "Token agreement",
    ]  # fmt: skip
    seed = next(s for s in figures.systems if s.name == "distilled").seeds[2]
    assert rows[-1][2:6] == [
        f"{seed.rouge_l * 100:.1f} %", f"{seed.exact_match * 100:.1f} %", f"{seed.perplexity:.1f}",
        f"{seed.nll_nats:.3f}",
    ]  # fmt: skip
    assert [row[0] for row in loss_rows(figures)[1:]] == ["Teacher", "Student before", "Fine-tuned", "Distilled"]
    assert written_rows(figures)[1][:3] == ["Teacher", "16.0", "0.0 % (0.0–0.0)"]
    bare = bare_generation_results.figures
    assert (generation_seed_rows(bare), loss_rows(bare), written_rows(bare)) == ([], [], [])


def test_a_system_that_is_not_there_has_a_title_too(bare_generation_results: GenerationResults) -> None:
    assert generation_title(bare_generation_results.figures, "teacher") == "Teacher"
    assert generation_title(bare_generation_results.figures, "other") == "other"


def test_one_answer_to_every_prompt_stands_beside_the_systems(generation_results: GenerationResults) -> None:
    level = Interval(value=0.2, low=0.1, high=0.3)
    answer = OneAnswer(answer="no", rows=30, of_rows=1200, rouge_l=level, exact_match=level, numeric_match=None)
    figures = generation_results.figures.model_copy(update={"one_answer": answer})
    results = generation_results.model_copy(update={"figures": figures})
    header, *_, row = generation_headline_rows(results, intervals=False)
    shown = dict(zip(header, row, strict=True))
    assert (shown["System"], shown["ROUGE-L"], shown["Exact match"]) == (ONE_ANSWER, "20.0 %", "20.0 %")
    assert shown["Parameters"] == ABSENT
    assert one_answer_text(figures) == "'no', the reference of 30 of 1,200 answered rows"
    page = render_generation_report(results)
    assert ONE_ANSWER in page
    assert "the reference of 30 of 1,200 answered rows" in page


def test_each_figure_of_the_answers_is_in_its_column(generation_results: GenerationResults) -> None:
    def level(value: float) -> Interval:
        return Interval(value=value, low=value - 0.01, high=value + 0.01)

    texts = WrittenText(
        words=level(16.0), repeated_4_grams=level(0.1), distinct_1=0.2, distinct_2=0.3, cut_off=level(0.4),
        empty=level(0.5),
    )  # fmt: skip
    system = generation_results.figures.systems[0].model_copy(update={"written": texts})
    header, row = written_rows(generation_results.figures.model_copy(update={"systems": [system]}))
    assert dict(zip(header, row, strict=True)) == {
        "System": "Teacher", "Words": "16.0", "Repeated 4-grams": "10.0 % (9.0–11.0)", "Distinct words": "20.0 %",
        "Distinct pairs": "30.0 %", "Cut off": "40.0 % (39.0–41.0)", "Empty": "50.0 % (49.0–51.0)",
    }  # fmt: skip


def test_losses_by_token_and_by_row_are_told_apart(generation_results: GenerationResults) -> None:
    def level(value: float) -> Interval:
        return Interval(value=value, low=value - 0.1, high=value + 0.1)

    system = generation_results.figures.systems[0].model_copy(
        update={"nll_nats": level(1.5), "nll_by_row_nats": level(2.5)}
    )
    header, row = loss_rows(generation_results.figures.model_copy(update={"systems": [system]}))
    assert dict(zip(header, row, strict=True)) == {
        "System": "Teacher", "Nats per token": "1.500 (1.400–1.600)", "Nats per row": "2.500 (2.400–2.600)",
    }  # fmt: skip
