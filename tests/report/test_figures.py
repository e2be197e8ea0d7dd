"""The figures as SVG: well formed, in the page's colours, safe and repeatable."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from limbeck.formatting import MINUS
from limbeck.report.class_figures import class_change_figures, confusion_figures
from limbeck.report.curves import curve_figures
from limbeck.report.drawing import SYSTEM_COLOURS, Drawing
from limbeck.report.figures import Figures, draw_figures
from limbeck.report.reliability import reliability_figures
from limbeck.report.trade_off import trade_off_figures
from limbeck.results import ConfusionMatrix, Results

SVG = "{http://www.w3.org/2000/svg}"


def everything(figures: Figures) -> list[Drawing]:
    return [drawing for drawings in vars(figures).values() for drawing in drawings]


def texts(drawing: Drawing) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(drawing.svg).iter(f"{SVG}text")]


def only(results: Results, *names: str) -> Results:
    return results.model_copy(update={"systems": [s for s in results.systems if s.name in names]})


def test_all_figures_are_there(full_figures: Figures) -> None:
    names = [drawing.name for drawing in everything(full_figures)]
    assert names == [
        "trade-off-size",
        "trade-off-latency",
        "class-change",
        "confusion-distilled",
        "confusion-teacher",
        "confusion-fine-tuned",
        "reliability-teacher",
        "reliability-student-before",
        "reliability-fine-tuned",
        "reliability-distilled",
        "curve-loss",
        "curve-train-accuracy",
        "curve-train-agreement",
        "curve-term-forward-kl",
        "curve-term-hidden",
    ]


def test_every_system_is_named_with_its_figure(full_figures: Figures) -> None:
    assert {"Teacher 93.2 %", "Fine-tuned 88.4 %", "Distilled 90.3 %"} < set(texts(full_figures.trade_off[0]))
    assert "▾ Student before 2.3 %" in texts(full_figures.trade_off[0])
    assert {"Teacher", "Fine-tuned", "Distilled"} < set(texts(full_figures.curves[0]))


def test_systems_have_their_colour_of_the_page(full_figures: Figures) -> None:
    for name, colour in SYSTEM_COLOURS.items():
        if name == "random_order":  # only where a run asks for it
            continue
        variable = f"var(--{name.replace('_', '-')}, {colour})"
        assert variable in next(d.svg for d in full_figures.reliability if name.replace("_", "-") in d.name)
    assert not re.search(r"(?<!, )#[0-9a-f]{6}\b", "".join(d.svg for d in everything(full_figures)))


def test_svg_refers_to_nothing_outside_and_has_no_id_twice(full_figures: Figures) -> None:
    seen: list[str] = []
    for drawing in everything(full_figures):
        root = ElementTree.fromstring(drawing.svg)
        assert root.get("role") == "img"
        assert root.find(f"{SVG}title").get("id") == root.get("aria-labelledby")
        ids = {element.get("id") for element in root.iter() if element.get("id")}
        for element in root.iter():
            assert element.tag.removeprefix(SVG) in {
                "svg",
                "title",
                "defs",
                "g",
                "path",
                "use",
                "text",
                "clipPath",
                "rect",
            }
            assert element.get("href", "#")[1:] in ids | {""}
            assert set(re.findall(r"url\(#([^)]*)\)", str(element.attrib))) <= ids
        seen += ids
    assert len(seen) == len(set(seen))


def test_hostile_labels_are_plain_text(hostile_figures: Figures) -> None:
    labels = texts(hostile_figures.confusion[0])
    assert {
        "<script>alert(1)</script>",
        "$x_$",
        "\"&'",
        "a|b # c",
        "(empty)",
        "{{ 7*7 }}",
        "$",
    } < set(labels)
    assert any(label.startswith("very long") and "…" in label for label in labels)
    assert all("<script" not in drawing.svg for drawing in everything(hostile_figures))
    assert all(re.fullmatch(r"[a-z0-9-]+", drawing.name) for drawing in everything(hostile_figures))


def test_the_same_record_gives_the_same_bytes(full_results: Results, full_figures: Figures) -> None:
    assert class_change_figures(full_results) == full_figures.class_change
    assert curve_figures(full_results)[:1] == full_figures.curves[:1]


def test_nothing_to_draw_draws_nothing(bare_results: Results) -> None:
    assert everything(draw_figures(bare_results)) == []


def test_one_class_only(full_results: Results) -> None:
    record = only(full_results, "teacher", "distilled")
    one = ConfusionMatrix(labels=["only"], rows=[[40]])
    systems = [s.model_copy(update={"confusion": one, "per_class": s.per_class[:1]}) for s in record.systems]
    record = record.model_copy(update={"systems": systems})
    assert "40" in texts(confusion_figures(record)[0])
    assert [len(drawing.svg) > 0 for drawing in class_change_figures(record)] == [True]


def test_classes_that_gained_are_not_said_to_have_lost(full_results: Results) -> None:
    teacher, *_, distilled = full_results.systems
    better = [figures.model_copy(update={"f1": 1.0}) for figures in distilled.per_class[:2]]
    worse = [figures.model_copy(update={"f1": 0.5}) for figures in teacher.per_class[:2]]
    systems = [
        teacher.model_copy(update={"per_class": worse}),
        distilled.model_copy(update={"per_class": better}),
    ]
    drawing = class_change_figures(full_results.model_copy(update={"systems": systems}))[0]
    assert drawing.title == "Change per class"


def test_class_changes_need_both_systems(full_results: Results) -> None:
    assert class_change_figures(only(full_results, "teacher", "fine_tuned")) == []


def test_classes_that_lost_the_most_come_first(full_figures: Figures) -> None:
    changes = [
        float(text.replace(MINUS, "-")) for text in texts(full_figures.class_change[0]) if text[0] in MINUS + "+"
    ]
    assert len(changes) == 12
    assert changes == sorted(changes)


def test_an_untrained_student_close_to_the_rest_is_drawn_as_a_point(full_results: Results) -> None:
    record = only(full_results, "student_before", "distilled")
    before, distilled = record.systems
    near = before.model_copy(update={"accuracy": distilled.accuracy})
    record = record.model_copy(update={"systems": [near, distilled]})
    assert "Student before 90.3 %" in texts(trade_off_figures(record)[0])


def test_only_the_untrained_student(full_results: Results) -> None:
    assert "Student before 2.3 %" in texts(trade_off_figures(only(full_results, "student_before"))[0])


def test_without_labels_agreement_takes_the_place_of_accuracy(full_results: Results) -> None:
    systems = [system.model_copy(update={"accuracy": None}) for system in full_results.systems]
    drawing = trade_off_figures(full_results.model_copy(update={"systems": systems}))[0]
    assert drawing.title == "Agreement against size"
    assert "Distilled 92.3 %" in texts(drawing)


def test_a_model_of_no_size_can_be_drawn(full_results: Results) -> None:
    system = full_results.systems[3]
    speed = system.speed.model_copy(update={"size_bytes": 0, "latency_ms_median": 0.0})
    record = full_results.model_copy(update={"systems": [system.model_copy(update={"speed": speed})]})
    assert len(trade_off_figures(record)) == 2


def test_curves_leave_out_what_is_not_finite_and_thin_what_is_long(full_results: Results) -> None:
    curve = full_results.curves[0]
    steps = list(range(5000))
    long = curve.model_copy(update={"steps": steps, "values": [float("nan"), float("inf"), *map(float, steps[2:])]})
    empty = curve.model_copy(update={"series": "term/nothing", "steps": [1], "values": [float("nan")]})
    drawings = curve_figures(full_results.model_copy(update={"curves": [long, empty]}))
    assert [drawing.name for drawing in drawings] == ["curve-loss"]
    assert "Neighbouring steps are averaged." in drawings[0].caption
    assert len(drawings[0].svg) < 30_000


def test_seeds_that_logged_other_steps_have_no_mean_but_are_drawn(full_results: Results) -> None:
    first = full_results.curves[0].model_copy(update={"steps": [1, 2], "values": [1.0, 2.0]})
    second = first.model_copy(update={"seed": 1, "steps": [3, 4]})
    assert len(curve_figures(full_results.model_copy(update={"curves": [first, second]}))) == 1


def test_several_stages_of_one_system_are_told_apart(full_results: Results) -> None:
    first = next(curve for curve in full_results.curves if curve.system == "distilled")
    second = first.model_copy(update={"stage": "logits"})
    drawing = curve_figures(full_results.model_copy(update={"curves": [first, second]}))[0]
    assert {"Distilled, distilled-1", "Distilled, logits"} < set(texts(drawing))


def test_reliability_leaves_out_empty_systems(full_results: Results) -> None:
    systems = [s.model_copy(update={"reliability": []}) for s in only(full_results, "teacher").systems]
    assert reliability_figures(full_results.model_copy(update={"systems": systems})) == []


def test_wide_scripts_get_room(full_results: Results) -> None:
    record = only(full_results, "teacher", "distilled")
    systems = [
        s.model_copy(update={"per_class": [s.per_class[0].model_copy(update={"label": "カードの支払い" * 4})]})
        for s in record.systems
    ]
    drawing = class_change_figures(record.model_copy(update={"systems": systems}))[0]
    root = ElementTree.fromstring(drawing.svg)
    label = next(element for element in root.iter(f"{SVG}text") if "カード" in (element.text or ""))
    assert float(label.get("x")) > 11 * len(label.text)


def test_drawing_leaves_the_settings_of_the_caller_alone(full_results: Results) -> None:
    import matplotlib

    def settings() -> dict[str, object]:
        # Asking for the backend would choose one.
        return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}

    before = settings()
    reliability_figures(only(full_results, "teacher"))
    assert settings() == before
