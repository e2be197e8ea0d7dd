"""The tables as text."""

from __future__ import annotations

from tests.report.label_samples import at_chance

from limbeck.formatting import ABSENT, EN_DASH, MINUS, TIMES
from limbeck.report.card import render_card
from limbeck.report.summary import key_figures
from limbeck.report.tables import (
    absence_notes,
    class_rows,
    comparison_rows,
    cost_rows,
    headline_rows,
    one_vs_rest_rows,
    seed_rows,
    title_of,
)
from limbeck.results import Results, SeedFigures


def test_the_headline_has_one_row_per_system_under_its_header(full_results: Results) -> None:
    header, *rows = headline_rows(full_results)
    assert header[:3] == ["System", "Accuracy", "Macro F1"]
    assert [row[0] for row in rows] == ["Teacher", "Student before", "Fine-tuned", "Distilled"]
    assert {len(row) for row in rows} == {len(header)}
    assert rows[3] == [
        "Distilled",
        f"90.3 % (89.2{EN_DASH}91.4)",
        f"89.9 % (88.8{EN_DASH}91.0)",
        f"92.3 % (91.2{EN_DASH}93.4)",
        f"0.160 (0.140{EN_DASH}0.180)",
        "3.4 %",
        "45.8 M",
        "183 MB",
        "7.31 ms (p95 8.80)",
        "1,043 /s (batch 32)",
        "702 MB",
    ]


def test_the_headline_without_intervals_is_narrow(full_results: Results) -> None:
    teacher = headline_rows(full_results, intervals=False)[1]
    assert teacher[1:6] == ["93.2 %", "92.8 %", ABSENT, ABSENT, "2.1 %"]


def test_sensitivity_and_specificity_have_a_table(full_results: Results) -> None:
    header, *rows = one_vs_rest_rows(full_results)
    assert header == ["System", "Sensitivity", "Specificity"]
    assert rows[3] == ["Distilled", f"90.1 % (89.0{EN_DASH}91.2)", f"99.8 % (99.7{EN_DASH}99.9)"]


def test_a_record_from_before_sensitivity_has_none_of_it(full_results: Results) -> None:
    record = full_results.model_dump()
    for system in record["systems"]:
        for holder in (system, *system["seeds"], *system["per_class"]):
            holder.pop("sensitivity", None)
            del holder["specificity"]
    old = Results.model_validate(record)
    assert one_vs_rest_rows(old) == []
    assert class_rows(old)[0].specificity == ABSENT
    assert seed_rows(old)[1][4:6] == [ABSENT, ABSENT]
    assert "Sensitivity is" not in render_card(old, None, None, [])


def test_classes_without_rows_are_named(full_results: Results) -> None:
    teacher, *others = full_results.systems
    per_class = [c.model_copy(update={"rows": 0}) if i < 7 else c for i, c in enumerate(teacher.per_class)]
    record = full_results.model_copy(
        update={"systems": [teacher.model_copy(update={"per_class": per_class}), *others]}
    )
    note = absence_notes(record)[-1]
    assert note.startswith("No held-out row is of the class card_payment_wrong_exchange_rate, ")
    assert note.endswith("and 2 more: macro F1 and sensitivity leave it out.")


def test_absent_figures_are_dashes_with_a_reason(bare_results: Results) -> None:
    assert headline_rows(bare_results)[1][1:6] == [ABSENT] * 5
    notes = " ".join(absence_notes(bare_results))
    assert "gold labels" in notes
    assert "teacher's output" in notes


def test_the_teacher_alone_gets_no_note_on_missing_labels(full_results: Results) -> None:
    assert absence_notes(full_results) == ["The teacher has no agreement and no KL: it would be compared with itself."]


def test_comparisons_in_words(full_results: Results) -> None:
    first, second, third = comparison_rows(full_results)
    assert (first.title, first.metric) == ("Distilled against Fine-tuned", "Accuracy")
    assert (first.difference, first.range, first.clear) == ("+1.9 points", "+1.1 to +2.7", True)
    assert first.mcnemar[0] == "seed 0: 141 to 92, p = 0.002"
    assert first.per_seed == ["+1.6", "+1.9", "+2.2"]
    assert (second.metric, second.mcnemar) == ("Macro F1", [])
    assert third.difference == f"{MINUS}2.9 points"


def test_an_interval_around_zero_is_not_clear(full_results: Results) -> None:
    comparison = full_results.comparisons[0]
    wide = comparison.difference.model_copy(update={"low": -0.001})
    record = full_results.model_copy(update={"comparisons": [comparison.model_copy(update={"difference": wide})]})
    assert not comparison_rows(record)[0].clear


def test_classes_show_every_system_and_the_change(full_results: Results) -> None:
    rows = class_rows(full_results)
    assert len(rows) == 77
    assert [row.label for row in rows] == full_results.labels
    assert rows[0].rows == "40", "rows of the held-out set, not rows times seeds"
    assert len(rows[0].f1) == 4
    assert rows[0].change.endswith("points")
    assert (rows[0].sensitivity, rows[0].specificity) == (rows[0].f1[-1], "99.9 %")


def test_costs_end_with_their_sum(full_results: Results) -> None:
    header, *rows, total = cost_rows(full_results)
    assert len(rows) == len(full_results.costs)
    assert total == ["All", "", "", "1 h 27 min", "6,300", "201,600", "4,284,000", "2.1 GB"]
    assert len(total) == len(header)


def test_single_seeds_are_listed_where_there_are_several(full_results: Results) -> None:
    header, *rows = seed_rows(full_results)
    assert [row[:2] for row in rows[:3]] == [["Student before", str(seed)] for seed in range(3)]
    assert len(rows) == 9
    assert {len(row) for row in rows} == {len(header)}


def test_each_figure_of_a_seed_is_in_its_column(full_results: Results) -> None:
    figures = SeedFigures(
        seed=4, accuracy=0.91, macro_f1=0.82, sensitivity=0.73, specificity=0.64, agreement=0.55,
        kl_to_teacher_nats=0.46,
    )  # fmt: skip
    systems = [s.model_copy(update={"seeds": [figures, figures]}) for s in full_results.systems[:1]]
    header, row, _ = seed_rows(full_results.model_copy(update={"systems": systems}))
    assert dict(zip(header, row, strict=True)) == {
        "System": "Teacher", "Seed": "4", "Accuracy": "91.0 %", "Macro F1": "82.0 %", "Sensitivity": "73.0 %",
        "Specificity": "64.0 %", "Agreement": "55.0 %", "KL, nats": "0.460",
    }  # fmt: skip


def test_empty_lists_make_empty_tables(bare_results: Results) -> None:
    assert (
        seed_rows(bare_results)
        == cost_rows(bare_results)
        == class_rows(bare_results)
        == comparison_rows(bare_results)
        == []
    )


def test_a_missing_system_still_has_a_name(bare_results: Results) -> None:
    assert title_of(bare_results, "fine_tuned") == "Fine-tuned"


def test_key_figures_say_what_was_kept_and_what_it_cost(full_results: Results) -> None:
    figures = {figure.title: figure.value for figure in key_figures(full_results)}
    assert figures == {
        "of the teacher's accuracy kept": "96.9 %",
        "accuracy, against plain fine-tuning": "+1.9 points",
        "smaller": f"2.4 {TIMES}",
        "faster": f"3.9 {TIMES}",
        "of training in all": "1 h 27 min",
    }


def test_key_figures_without_labels_speak_of_agreement(full_results: Results) -> None:
    systems = [system.model_copy(update={"accuracy": None}) for system in full_results.systems]
    record = full_results.model_copy(update={"systems": systems})
    assert key_figures(record)[0].title == "agreement with the teacher"


def test_a_student_larger_than_its_teacher_is_called_larger(full_results: Results) -> None:
    teacher, *others = full_results.systems
    tiny = teacher.speed.model_copy(update={"size_bytes": 18_310_000, "latency_ms_median": 0.0})
    record = full_results.model_copy(update={"systems": [teacher.model_copy(update={"speed": tiny}), *others]})
    figures = {figure.title: figure.value for figure in key_figures(record)}
    assert figures["larger"] == f"10.0 {TIMES}"
    assert "faster" not in figures
    assert "slower" not in figures


def test_nothing_measured_gives_no_key_figure(bare_results: Results) -> None:
    assert key_figures(bare_results) == []


def test_one_label_for_all_rows_stands_beside_the_systems(full_results: Results) -> None:
    """It has no probabilities, size or speed, and is in no figure and no table of classes."""
    results = at_chance(full_results, p_value=0.5)
    *_, row = headline_rows(results)
    assert row[0] == "Always the most frequent label"
    assert row[1] == f"88.0 % (86.0{EN_DASH}90.0)"
    assert row[6:] == [ABSENT] * 5
    assert one_vs_rest_rows(results)[-1][0] == "Always the most frequent label"
    assert any("is no model" in note for note in absence_notes(results))
    assert len(class_rows(results)[0].f1) == len(full_results.systems)
    against = comparison_rows(results)[-1]
    assert against.title == "Distilled against Always the most frequent label"
    assert (against.difference, against.bootstrap) == ("+2.0 points", "p = 0.50")
