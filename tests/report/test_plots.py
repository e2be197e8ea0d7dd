"""The plots as SVG: well formed, in the page's colours, safe and repeatable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from tests.report.conftest import KINDS, changed
from tests.report.simple import with_simple

from limbeck.formatting import MINUS
from limbeck.report.block import Block
from limbeck.report.blocks import report_blocks
from limbeck.report.languages import LanguageView
from limbeck.report.plots.by_budget import budget_plots
from limbeck.report.plots.confusion import confusion_plots
from limbeck.report.plots.curves import curve_plots
from limbeck.report.plots.dots import metric_dots, retention_dots
from limbeck.report.plots.heat_map import heat_maps
from limbeck.report.plots.reliability import reliability_plots
from limbeck.report.plots.slices import SliceChange, change_plot
from limbeck.report.plots.trade_off import trade_off_plots
from limbeck.report.plotting import Plot
from limbeck.results.record import Results
from limbeck.results.sections import Confusion, ConfusionMatrix, Languages, Reliability, Retention

pytestmark = pytest.mark.slow

SVG = "{http://www.w3.org/2000/svg}"


def drawn(blocks: list[Block]) -> Iterator[Plot]:
    for block in blocks:
        for part in block.all():
            yield from part.plots()


def texts(plot: Plot) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(plot.svg).iter(f"{SVG}text")]


def only(results: Results, *names: str) -> Results:
    return changed(results, systems=[system for system in results.systems if system.name in names])


@pytest.fixture(scope="module")
def plots(records: dict[str, Results]) -> dict[str, list[Plot]]:
    return {kind: list(drawn(report_blocks(results))) for kind, results in records.items()}


def test_all_plots_are_there(plots: dict[str, list[Plot]]) -> None:
    names = {kind: [plot.name for plot in found] for kind, found in plots.items()}
    assert names["classification"][:4] == ["trade-off-size", "trade-off-latency", "dots-kl", "change-classes"]
    assert {
        "confusion-distilled",
        "confusion-teacher",
        "reliability-teacher",
        "curve-loss",
        "curve-term-hidden",
    } <= set(names["classification"])
    assert names["ranking"][:3] == ["label-budget-accuracy", "label-budget-mrr", "heat-map-0"]
    assert {"language-gap-16", "difference-ml-ipd-transfer-16", "curve-0-loss"} <= set(names["ranking"])
    assert {"retention-rouge-l", "retention-perplexity", "dots-perplexity", "dots-kl"} <= set(names["generation"])


@pytest.mark.parametrize("kind", KINDS)
def test_svg_is_safe_in_the_page_s_colours_and_has_no_id_twice(kind: str, plots: dict[str, list[Plot]]) -> None:
    known = {"svg", "title", "defs", "g", "path", "use", "text", "clipPath", "rect"}
    seen: list[str] = []
    for plot in plots[kind]:
        assert re.fullmatch(r"[a-z0-9-]+", plot.name)
        root = ElementTree.fromstring(plot.svg)
        assert root.get("role") == "img"
        assert root.find(f"{SVG}title").get("id") == root.get("aria-labelledby")
        ids = {element.get("id") for element in root.iter() if element.get("id")}
        for element in root.iter():
            assert element.tag.removeprefix(SVG) in known
            assert element.get("href", "#")[1:] in ids | {""}
            assert set(re.findall(r"url\(#([^)]*)\)", str(element.attrib))) <= ids
        assert not re.search(r"(?<!, )#[0-9a-f]{6}\b", plot.svg)
        seen += ids
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_draw_draws_nothing(kind: str, bare: dict[str, Results]) -> None:
    assert list(drawn(report_blocks(changed(bare[kind], figures=[])))) == []


def test_every_system_is_named_with_its_figure(plots: dict[str, list[Plot]]) -> None:
    found = texts(plots["classification"][0])
    assert {"Teacher 93.2 %", "Fine-tuned 88.4 %", "Distilled 90.3 %", "▾ Student before 2.3 %"} < set(found)


def test_without_labels_the_headline_takes_the_place_of_accuracy(records: dict[str, Results]) -> None:
    first = trade_off_plots(changed(records["classification"], headline="agreement"))[0]
    assert first.title == "Agreement against size"
    assert "Distilled 92.3 %" in texts(first)


def test_only_the_untrained_student(records: dict[str, Results]) -> None:
    first = trade_off_plots(only(records["classification"], "student_init"))[0]
    assert "Student before 2.3 %" in texts(first)


def test_an_untrained_student_far_off_is_named_below(plots: dict[str, list[Plot]]) -> None:
    perplexity = next(plot for plot in plots["generation"] if plot.name == "dots-perplexity")
    assert "Student before" not in texts(perplexity)
    assert "Too far off to be drawn: Student before (" in perplexity.caption
    exact = next(plot for plot in plots["generation"] if plot.name == "retention-exact-match")
    assert "Student before" in texts(exact)
    assert "Too far" not in exact.caption


def test_simple_baselines_far_from_the_teacher_do_not_squeeze_the_rest(records: dict[str, Results]) -> None:
    results = with_simple(records["classification"])
    (kl,) = metric_dots(results, [results.metric("kl")])
    assert "Too far off to be drawn: " in kl.caption
    assert "TF-IDF + logistic regression (4.000)" in kl.caption
    assert "TF-IDF" not in texts(kl)


def test_nothing_is_drawn_as_kept_of_answers_that_one_answer_could_stand_in_for(records: dict[str, Results]) -> None:
    results = records["generation"]
    kept = results.section(Retention)
    assert kept
    figures = [f.model_copy(update={"value": 0.9}) if f.system == "constant" else f for f in results.figures]
    without = [c for c in results.comparisons if c.second != "constant"]
    low = changed(results, figures=figures, comparisons=without)
    assert [plot.name for plot in retention_dots(low, kept.kept)] == ["retention-perplexity"]
    assert len(retention_dots(results, kept.kept)) > 1


def test_slices_that_lost_the_most_come_first(plots: dict[str, list[Plot]]) -> None:
    plot = next(plot for plot in plots["classification"] if plot.name == "change-classes")
    changes = [float(text.replace(MINUS, "-")) for text in texts(plot) if text[0] in MINUS + "+"]
    assert len(changes) == 12
    assert changes == sorted(changes)


def test_slices_that_gained_are_not_said_to_have_lost(records: dict[str, Results]) -> None:
    results = records["classification"]
    pair = results.roles("teacher")[0], results.roles("main")[0]
    f1 = results.metric("f1")
    gained = change_plot(results, f1, pair, [SliceChange("a", 0.5, 1.0)], "classes")
    lost = change_plot(results, f1, pair, [SliceChange("a", 1.0, 0.5)], "classes")
    assert (gained.title, lost.title) == ("F1 of classes, from teacher to student", "Classes that lost the most")


def test_wide_scripts_get_room(records: dict[str, Results]) -> None:
    results = records["classification"]
    pair = results.roles("teacher")[0], results.roles("main")[0]
    plot = change_plot(results, results.metric("f1"), pair, [SliceChange("カードの支払い" * 4, 0.5, 1.0)], "classes")
    root = ElementTree.fromstring(plot.svg)
    label = next(element for element in root.iter(f"{SVG}text") if "カード" in (element.text or ""))
    assert float(label.get("x")) > 11 * len(label.text)


def test_one_class_only(records: dict[str, Results]) -> None:
    one = Confusion(systems={"distilled": ConfusionMatrix(labels=["only"], rows=[[40]])})
    assert "40" in texts(confusion_plots(records["classification"], one)[0])


def test_reliability_leaves_out_empty_systems_and_the_caller_s_settings(records: dict[str, Results]) -> None:
    import matplotlib

    def settings() -> dict[str, object]:
        # Asking for the backend would choose one.
        return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}

    results, before = records["classification"], settings()
    section = results.section(Reliability)
    assert section
    (plot,) = reliability_plots(results, Reliability(systems={"teacher": section.systems["teacher"], "distilled": []}))
    assert plot.caption == "ECE 2.1 %, loss 0.211 nats"
    assert settings() == before


def test_curves_leave_out_what_is_not_finite_and_thin_what_is_long(records: dict[str, Results]) -> None:
    curve = records["classification"].curves[0]
    steps = list(range(5000))
    long = curve.model_copy(update={"steps": steps, "values": [float("nan"), float("inf"), *map(float, steps[2:])]})
    empty = curve.model_copy(update={"series": "term/nothing", "steps": [1], "values": [float("nan")]})
    found = curve_plots(changed(records["classification"], curves=[long, empty]))
    assert [plot.name for plot in found] == ["curve-loss"]
    assert "Neighbouring steps are averaged." in found[0].caption
    assert len(found[0].svg) < 30_000


def test_several_stages_of_one_system_and_other_steps_of_seeds(records: dict[str, Results]) -> None:
    first = next(curve for curve in records["classification"].curves if curve.system == "distilled")
    second = first.model_copy(update={"stage": "logits"})
    other = first.model_copy(update={"seed": 9, "steps": [10**6 + step for step in first.steps]})
    (plot,) = curve_plots(changed(records["classification"], curves=[first, second, other]))
    assert {f"Distilled, {first.stage}", "Distilled, logits"} < set(texts(plot))


def test_many_stages_of_one_system_follow_one_another(records: dict[str, Results]) -> None:
    """Nine stages have no nine styles of lines; in their place, each begins where the one before ended."""
    results = records["classification"]
    first = next(curve for curve in results.curves if curve.system == "distilled")
    cost = next(cost for cost in results.costs if cost.system == "distilled")
    many = [
        first.model_copy(update={"stage": f"stage_{n}", "steps": [100, 200, 300], "values": [3.0, 2.0, 1.0]})
        for n in range(9)
    ]
    later = many[5].model_copy(update={"series": "term/labels"})
    costs = [cost.model_copy(update={"stage": f"stage_{n}", "steps": 300}) for n in range(9)]
    loss, term = curve_plots(changed(results, curves=[*many, later], costs=costs))
    assert texts(loss).count("Distilled") == 1
    assert not [text for text in texts(loss) if "stage" in text]
    assert "Stages of Distilled: one after the other; each begins at a vertical line." in loss.caption
    assert max(float(text.replace(",", "")) for text in texts(loss) if text.isdigit()) in (2500, 2700)
    steps = [float(text) for text in texts(term) if text.isdigit() and float(text) > 100]
    assert 1500 <= min(steps) < max(steps) <= 1800
    few = curve_plots(changed(results, curves=many[:4], costs=costs))
    assert {f"Distilled, stage_{n}" for n in range(4)} <= set(texts(few[0]))
    assert few[0].caption == ""


def test_foreign_labels_are_plain_text(hostile_records: dict[str, Results]) -> None:
    section = hostile_records["classification"].section(Confusion)
    assert section
    plot = confusion_plots(hostile_records["classification"], section)[0]
    assert {"<script>alert(1)</script>", "$x_$", "\"&'", "(empty)", "{{ 7*7 }}"} & set(texts(plot))
    assert "<script" not in plot.svg


def view(results: Results) -> LanguageView:
    section = results.section(Languages)
    assert section
    return LanguageView(results, section)


def test_every_cell_of_the_heat_map_says_its_number(records: dict[str, Results]) -> None:
    of = view(records["ranking"])
    (plot,) = heat_maps(of)
    numbers = [text for text in texts(plot) if re.fullmatch(r"\d+\.\d", text)]
    assert len(numbers) == len(of.entries) * (1 + 3 + 1)
    main = of.main()
    assert main
    for lang in of.languages:
        kept = of.kept(main, lang)
        assert kept is not None
        assert f"{kept * 100:.1f}" in numbers
    found = texts(plot)
    assert {"No labels", "16 labels"} < set(found)
    rows = [found.index(name) for name in ("English", "French", "German", "Swahili (low)", "Mean of languages")]
    assert rows == sorted(rows)
    strengths = [float(number) for number in re.findall(r"opacity: ([0-9.]+)", plot.svg)]
    assert max(strengths) <= 0.48, "numbers on the strongest colour must stay legible"


def test_budgets_that_do_not_fit_go_to_another_heat_map(records: dict[str, Results]) -> None:
    results = records["ranking"]
    more = [
        figure.model_copy(update={"budget": budget})
        for figure in results.figures
        if figure.budget == 0
        for budget in (100, 200, 300, 400, 500, 600)
    ]
    first, second = heat_maps(view(changed(results, figures=[*results.figures, *more])))
    assert "600 labels" in texts(second)
    assert "600 labels" not in texts(first)
    assert first.name != second.name


def test_a_language_without_a_figure_is_a_dash(records: dict[str, Results]) -> None:
    results = records["ranking"]
    figures = [f for f in results.figures if not (f.system == "ml_dft" and f.slice.get("lang") == "fr")]
    (plot,) = heat_maps(view(changed(results, figures=figures)))
    assert texts(plot).count("–") == 1


def test_all_budgets_and_systems_are_in_the_line_plot_with_their_intervals(records: dict[str, Results]) -> None:
    """Lines moved sideways do not count in matplotlib's own limits, which once cut half of them off."""
    plots = budget_plots(records["ranking"])
    assert {"0", "16", "English model", "ML-IPD", "ML-DFT", "Transfer"} < set(texts(plots[0]))
    assert "Dotted: English model, with no labels." in plots[0].caption
    for plot in plots:
        root = ElementTree.fromstring(plot.svg)
        box = next(root.iter(f"{SVG}clipPath"))[0]
        top, height = float(box.get("y", "0")), float(box.get("height", "0"))
        paths = [
            path.get("d", "")
            for group in root.iter(f"{SVG}g")
            if re.search(r"-line2d_\d+$", group.get("id", ""))
            for path in group.findall(f"{SVG}path")
            if path.get("clip-path")
        ]
        assert len(paths) > 5
        heights = [float(pair.split()[1]) for path in paths for pair in re.findall(r"[\d.-]+ [\d.-]+", path)]
        assert top <= min(heights)
        assert max(heights) <= top + height


def test_gaps_and_differences_of_languages(plots: dict[str, list[Plot]]) -> None:
    by_name = {plot.name: plot for plot in plots["ranking"]}
    gap = texts(by_name["language-gap-16"])
    assert {"ML-IPD", "Transfer, best other", "Teacher on English", f"{MINUS}26.3", "Swahili"} < set(gap)
    difference = by_name["difference-ml-ipd-transfer-16"]
    assert {f"{MINUS}3.8", "All languages", "+0.8"} < set(texts(difference))
    assert "--error" in difference.svg, "a loss is filled in another colour"


def test_no_axis_of_shares_goes_beyond_all(records: dict[str, Results]) -> None:
    """Where all systems have everything right, matplotlib would put ticks at 105 %."""
    results = records["classification"]
    pair = results.roles("teacher")[0], results.roles("main")[0]
    plot = change_plot(results, results.metric("f1"), pair, [SliceChange("a", 1.0, 1.0)], "classes")
    ticks = [float(text.removesuffix(" %")) for text in texts(plot) if text.endswith(" %")]
    assert max(ticks) == 100
    assert len(ticks) > 1


def test_steps_are_whole(records: dict[str, Results]) -> None:
    curve = (
        records["classification"].curves[0].model_copy(update={"steps": [1, 2, 3, 4], "values": [4.0, 3.0, 2.0, 1.5]})
    )
    (plot,) = curve_plots(changed(records["classification"], curves=[curve]))
    steps = texts(plot)[: texts(plot).index("step")]
    assert {"1", "2", "3", "4"} <= set(steps)
    assert not any("." in step for step in steps)
