"""The figures of a cross-lingual run: complete, in the page's colours, safe."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from limbeck.formatting import MINUS
from limbeck.language_results import LanguageResults
from limbeck.report.drawing import ERROR, Drawing
from limbeck.report.heat_map import heat_maps
from limbeck.report.label_budget import label_budget_figures
from limbeck.report.language_comparisons import find_comparison
from limbeck.report.language_figures import LanguageFigures, draw_language_figures
from limbeck.report.language_gaps import difference_figure
from limbeck.report.retention import find_system, retention_in

SVG = "{http://www.w3.org/2000/svg}"


def everything(figures: LanguageFigures) -> list[Drawing]:
    gaps = [drawing for drawings in figures.gaps.values() for drawing in drawings]
    return [*figures.label_budget, *figures.heat_maps, *gaps, *figures.curves]


def texts(drawing: Drawing) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(drawing.svg).iter(f"{SVG}text")]


def test_all_figures_are_there(language_figures: LanguageFigures) -> None:
    names = [drawing.name for drawing in everything(language_figures)]
    gaps = [
        f"{kind}-{n_target}"
        for n_target in (0, 16, 128)
        for kind in ("language-gap", "difference-ml-ipd-ml-dft", "difference-ml-ipd-transfer")
    ]
    curves = [f"curve-{system}-{series}" for series in ("loss", "train-accuracy") for system in range(3)]
    assert names == ["label-budget-accuracy", "label-budget-mrr", "heat-map-0", *gaps, *curves]


def test_every_cell_of_the_heat_map_says_its_number(
    language_figures: LanguageFigures, language_results: LanguageResults
) -> None:
    found = texts(language_figures.heat_maps[0])
    numbers = [text for text in found if re.fullmatch(r"\d+\.\d", text)]
    assert len(numbers) == 16 * (1 + 12 + 1)
    system = find_system(language_results, "ml_ipd", 128)
    assert system
    for lang in ("en", "sw", "zh"):
        share = retention_in(language_results, system, lang)
        assert share is not None
        assert f"{share * 100:.1f}" in numbers
    assert {"No labels", "16 labels", "128 labels", "Swahili (low)", "Mean of languages", "English"} < set(found)


def test_the_heat_map_shows_english_first_and_the_worst_language_last(language_figures: LanguageFigures) -> None:
    found = texts(language_figures.heat_maps[0])
    rows = [found.index(name) for name in ("English", "Spanish", "Chinese", "Swahili (low)", "Mean of languages")]
    assert rows == sorted(rows)


def test_losses_are_red_and_gains_blue(language_figures: LanguageFigures) -> None:
    svg = language_figures.heat_maps[0].svg
    red, blue = (svg.count(f"fill: var(--{name}, ") for name in ("error", "teacher"))
    assert red > blue > 0
    strengths = [float(number) for number in re.findall(r"opacity: ([0-9.]+)", svg)]
    assert max(strengths) <= 0.48, "numbers on the strongest colour must stay legible"


def test_budgets_that_do_not_fit_go_to_another_heat_map(language_results: LanguageResults) -> None:
    more = [s.model_copy(update={"n_target": 1000}) for s in language_results.systems if s.n_target == 128] * 2
    record = language_results.model_copy(update={"systems": [*language_results.systems, *more]})
    first, second = heat_maps(record)
    assert "1,000 labels" in texts(second)
    assert "1,000 labels" not in texts(first)
    assert first.name != second.name


def test_a_language_without_english_figure_is_a_dash(language_results: LanguageResults) -> None:
    systems = [
        s.model_copy(update={"cells": [c for c in s.cells if c.lang != "hi"]}) if s.name == "rl_ia" else s
        for s in language_results.systems[:6]
    ]
    (drawing,) = heat_maps(language_results.model_copy(update={"systems": systems}))
    assert texts(drawing).count("–") == 1


def test_all_budgets_and_systems_are_in_the_line_figure(language_figures: LanguageFigures) -> None:
    found = texts(language_figures.label_budget[0])
    assert {"0", "16", "128", "English model", "ML-IPD", "ML-DFT", "PL-BL", "RL-IA", "Transfer"} < set(found)
    assert "Dotted: the English model" in language_figures.label_budget[0].caption


def test_the_line_figure_shows_every_interval_whole(language_figures: LanguageFigures) -> None:
    """Lines moved sideways do not count in matplotlib's own limits, which once cut half of them off."""
    for drawing in language_figures.label_budget:
        root = ElementTree.fromstring(drawing.svg)
        box = next(root.iter(f"{SVG}clipPath"))[0]
        top, height = float(box.get("y", "0")), float(box.get("height", "0"))
        paths = [
            path.get("d", "")
            for group in root.iter(f"{SVG}g")
            if re.search(r"-line2d_\d+$", group.get("id", ""))
            for path in group.findall(f"{SVG}path")
            if path.get("clip-path")
        ]
        assert len(paths) > 16
        heights = [float(pair.split()[1]) for path in paths for pair in re.findall(r"[\d.-]+ [\d.-]+", path)]
        assert top <= min(heights)
        assert max(heights) <= top + height


def test_the_gap_figure_names_the_best_other_and_the_gap(language_figures: LanguageFigures) -> None:
    found = texts(language_figures.gaps[128][0])
    assert {"ML-IPD", "Transfer, best other", "English model on English", f"{MINUS}19.0", "Swahili"} < set(found)


def test_a_difference_is_filled_only_where_it_is_clear(
    language_results: LanguageResults, language_figures: LanguageFigures
) -> None:
    _, dft, transfer = language_figures.gaps[128]
    assert ERROR in transfer.svg
    assert ERROR not in dft.svg
    assert {"+5.2", "All languages", "+4.8"} < set(texts(dft))
    comparison = find_comparison(language_results, "ml_ipd", "ml_dft", 0)
    assert comparison
    assert difference_figure(language_results, comparison, ["xx"]) is None


def test_colours_are_those_of_the_page(language_figures: LanguageFigures) -> None:
    svg = "".join(drawing.svg for drawing in everything(language_figures))
    assert not re.search(r"(?<!, )#[0-9a-f]{6}\b", svg)
    for variable in ("--violet", "--brown", "--distilled", "--fine-tuned"):
        assert f"var({variable}, " in svg


def test_ids_are_unique_over_all_figures(
    language_figures: LanguageFigures, hostile_language_figures: LanguageFigures
) -> None:
    for figures in (language_figures, hostile_language_figures):
        ids = [
            element.get("id")
            for drawing in everything(figures)
            for element in ElementTree.fromstring(drawing.svg).iter()
            if element.get("id")
        ]
        assert len(ids) == len(set(ids))


def test_hostile_names_are_plain_text(hostile_language_figures: LanguageFigures) -> None:
    drawings = everything(hostile_language_figures)
    assert all("<script" not in drawing.svg for drawing in drawings)
    assert all(re.fullmatch(r"[a-z0-9-]+", drawing.name) for drawing in drawings)
    assert "$x_$" in texts(hostile_language_figures.heat_maps[0])


def test_nothing_to_compare_draws_nothing(bare_language_results: LanguageResults) -> None:
    assert everything(draw_language_figures(bare_language_results)) == []
    assert label_budget_figures(bare_language_results.model_copy(update={"systems": []})) == []
