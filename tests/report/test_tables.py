"""Tables of any run: by what the record lists, not by what the report knows."""

from __future__ import annotations

from tests.report.conftest import changed
from tests.report.simple import with_simple

from limbeck.formatting import ABSENT, EN_DASH, MINUS
from limbeck.report.block import Table
from limbeck.report.lookup import whole_comparisons
from limbeck.report.tables import (
    absence_notes,
    comparison_table,
    headline_table,
    seed_table,
    stage_table,
    whole_table,
)
from limbeck.results.figures import Figure, Metric
from limbeck.results.record import Results


def column(table: Table, title: str) -> list[str]:
    place = [column.title for column in table.columns].index(title)
    return [row.cells[place].flat() for row in table.rows if not row.heading]


def compared(results: Results) -> Table:
    return comparison_table(results, whole_comparisons(results), "Comparisons")


def test_a_new_metric_is_a_column_because_the_record_lists_it(records: dict[str, Results]) -> None:
    results = records["classification"]
    metric = Metric(key="new", title="New figure", unit="number", higher_is_better=True)
    figure = Figure(system="distilled", metric="new", value=0.5, low=0.4, high=0.6)
    more = changed(results, metrics=[*results.metrics, metric], figures=[*results.figures, figure])
    assert column(headline_table(more), "New figure")[4] == f"0.500 (0.400{EN_DASH}0.600)"
    assert "New figure" in [column.title for column in whole_table(more).columns]


def test_the_headline_has_the_systems_and_one_answer_to_everything(records: dict[str, Results]) -> None:
    table = headline_table(records["classification"])
    assert [row.cells[0].text for row in table.rows][-2:] == ["Distilled", "Always the most frequent label"]
    assert [row.main for row in table.rows] == [False] * 4 + [True, False]
    assert [cell.text for cell in table.rows[-1].cells[6:]] == [ABSENT] * 5
    assert column(table, "Latency")[0] == "28.4 ms (p95 33.0)"


def test_budgets_have_headings(records: dict[str, Results]) -> None:
    table = headline_table(records["ranking"])
    assert [row.cells[0].text for row in table.rows if row.heading] == ["No labels", "16 labels", "At any budget"]
    assert [line[0] for line in table.flat()] == ["", *["No labels"] * 4, *["16 labels"] * 2, "At any budget"]


def test_what_is_missing_is_explained(records: dict[str, Results], bare: dict[str, Results]) -> None:
    notes = absence_notes(records["classification"])
    assert "Teacher: no agreement or KL, since it would be compared with itself." in notes
    assert "Always the most frequent label: no KL, ECE, size or speed, since it is not a model." in notes
    assert any("teacher's output" in note for note in absence_notes(bare["classification"]))


def test_simple_baselines_come_last_but_for_the_constant_and_have_no_speed(records: dict[str, Results]) -> None:
    results = with_simple(records["classification"])
    titles = [row.cells[0].text for row in headline_table(results).rows]
    assert titles[-4:] == [
        "Distilled", "TF-IDF + logistic regression", "Frozen embeddings + logistic regression",
        "Always the most frequent label",
    ]  # fmt: skip
    said = (
        "TF-IDF + logistic regression and frozen embeddings + logistic regression: size and speed were not measured."
    )
    notes = absence_notes(results)
    assert said in notes
    assert not any("known only by its answers" in note for note in notes)
    assert said not in absence_notes(records["classification"])


def test_comparisons_in_words(records: dict[str, Results]) -> None:
    heading, first, second, *_ = compared(records["classification"]).rows
    figure, difference, bootstrap, mcnemar, seeds, t_test = first.cells
    assert heading.heading
    assert (heading.cells[0].text, figure.flat()) == ("Distilled against Fine-tuned", "Accuracy (more is better)")
    assert (difference.text, difference.small, difference.emphasis) == ("+1.9 points", "+1.1 to +2.7", "clear")
    assert mcnemar.text.split("\n")[0] == "seed 0: 141 to 92, p = 0.002"
    assert (bootstrap.text, seeds.text, t_test.text) == ("p < 0.001", "+1.6\n+1.9\n+2.2", "p = 0.008")
    assert (second.cells[0].text, second.cells[3].text) == ("Macro F1", ABSENT)


def test_each_pair_is_a_heading_of_its_figures_once(records: dict[str, Results]) -> None:
    results = records["classification"]
    shuffled = [*results.comparisons[1:], results.comparisons[0]]
    rows = compared(changed(results, comparisons=shuffled)).rows
    headings = [row.cells[0].text for row in rows if row.heading]
    assert len(headings) == len(set(headings)) == len({(c.first, c.second) for c in shuffled if not c.slice})
    assert len(rows) == len(headings) + sum(not c.slice for c in shuffled)


def test_an_interval_around_zero_is_not_clear(records: dict[str, Results]) -> None:
    comparison = records["classification"].comparisons[0].model_copy(update={"low": -0.001})
    (row,) = compared(changed(records["classification"], comparisons=[comparison])).rows
    assert row.cells[2].emphasis == ""


def test_comparisons_across_languages_have_labels_holm_and_resources(records: dict[str, Results]) -> None:
    table = compared(records["ranking"])
    titles = [column.title for column in table.columns]
    assert titles == ["Compared", "Figure", "Labels", "Difference", "Bootstrap", "t-test", "Holm", "High", "Low"]
    of_mrr = next(row for row in table.rows if row.cells[1].text == "MRR")
    assert "points" not in of_mrr.cells[3].text
    assert "t(" in table.rows[0].cells[5].small


def test_a_test_that_was_not_defined_is_a_dash_and_not_p_0(records: dict[str, Results]) -> None:
    comparison = records["ranking"].comparisons[0]
    only_bootstrap = comparison.model_copy(update={"tests": comparison.tests[:1]})
    table = compared(changed(records["ranking"], comparisons=[comparison, only_bootstrap]))
    assert column(table, "t-test")[1] == column(table, "Holm")[1] == ABSENT


def test_where_less_is_better_it_is_said(records: dict[str, Results]) -> None:
    row = next(row for row in compared(records["generation"]).rows if row.cells[0].text == "KL")
    assert row.cells[0].small == "less is better"
    assert row.cells[1].text.startswith(MINUS)
    assert row.cells[1].text.endswith("nats")


def test_single_seeds_are_listed_where_there_are_several(records: dict[str, Results]) -> None:
    table = seed_table(records["classification"])
    assert table
    assert [row.cells[1].text for row in table.rows[:3]] == ["0", "1", "2"]
    assert {"Accuracy", "Sensitivity", "KL, nats"} <= {column.title for column in table.columns}
    one = [f.model_copy(update={"seeds": dict(list(f.seeds.items())[:1])}) for f in records["classification"].figures]
    assert seed_table(changed(records["classification"], figures=one)) is None


def test_each_figure_of_a_seed_is_in_its_column(records: dict[str, Results]) -> None:
    results = records["classification"]
    table = seed_table(results)
    assert table
    figure = results.figure("distilled", "kl")
    assert figure
    rows = [row for row in table.rows if row.cells[0].text == "Distilled"]
    place = [column.title for column in table.columns].index("KL, nats")
    assert [row.cells[place].text for row in rows] == [f"{value:.3f}" for value in figure.seeds.values()]


def test_costs_end_with_their_sum(records: dict[str, Results], bare: dict[str, Results]) -> None:
    table = stage_table(records["classification"])
    assert table
    assert table.foot
    assert table.foot.cells[3].text == "1 h 27 min"
    assert len(table.rows) == len(records["classification"].costs)
    assert stage_table(bare["classification"]) is None
