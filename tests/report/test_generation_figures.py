"""The figures of a generating student."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from limbeck.generation_results import GenerationResults
from limbeck.report.drawing import Drawing
from limbeck.report.generation_figures import GenerationDrawings, draw_generation_figures
from limbeck.results import Interval

SVG = "{http://www.w3.org/2000/svg}"


def texts(drawing: Drawing) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(drawing.svg).iter(f"{SVG}text")]


def test_all_figures_are_there(generation_drawings: GenerationDrawings) -> None:
    assert [d.name for d in generation_drawings.retention] == [
        "retention-rouge-l",
        "retention-exact-match",
        "retention-perplexity",
    ]
    assert [d.name for d in generation_drawings.likelihood] == ["perplexity", "kl"]
    assert [d.name for d in generation_drawings.curves] == ["curve-loss", "curve-term-forward-kl"]


@pytest.mark.parametrize("name", ["rouge_l", "perplexity"])
def test_dots_say_their_number(
    name: str, generation_drawings: GenerationDrawings, generation_results: GenerationResults
) -> None:
    drawing = next(d for d in generation_drawings.retention if d.name == f"retention-{name.replace('_', '-')}")
    found = texts(drawing)
    for kept in generation_results.figures.retention:
        if kept.metric == name and kept.system != "student_before":
            assert f"{kept.kept.value * 100:.1f} %" in found
    assert {"Fine-tuned", "Distilled", "100 %"} <= set(found)


def test_an_untrained_student_far_off_is_named_below(generation_drawings: GenerationDrawings) -> None:
    perplexity, _ = generation_drawings.likelihood
    assert "Student before" not in texts(perplexity)
    assert "Too far off to be drawn: Student before (" in perplexity.caption
    exact = generation_drawings.retention[1]
    assert "Student before" in texts(exact)
    assert "Too far" not in exact.caption


def test_hostile_names_are_text(hostile_generation_drawings: GenerationDrawings) -> None:
    drawings = [*hostile_generation_drawings.retention, *hostile_generation_drawings.curves]
    assert drawings
    for drawing in drawings:
        assert "<script" not in drawing.svg
        assert any("<script>" in text for text in texts(drawing))


def test_nothing_measured_draws_nothing(bare_generation_results: GenerationResults) -> None:
    assert draw_generation_figures(bare_generation_results) == GenerationDrawings([], [], [])


def test_nothing_is_drawn_as_kept_of_answers_that_one_answer_could_stand_in_for(
    generation_results: GenerationResults,
) -> None:
    figures = generation_results.figures
    against = figures.comparisons[0].model_copy(
        update={"second": "most_frequent", "difference": Interval(value=0, low=-0.1, high=0.1)}
    )
    record = generation_results.model_copy(
        update={"figures": figures.model_copy(update={"comparisons": [*figures.comparisons, against]})}
    )
    assert [drawing.name for drawing in draw_generation_figures(record).retention] == ["retention-perplexity"]
    assert len(draw_generation_figures(generation_results).retention) > 1
