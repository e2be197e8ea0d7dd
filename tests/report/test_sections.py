"""Sections as blocks."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from tests.report.conftest import changed
from tests.report.simple import with_simple

from limbeck.formatting import MINUS
from limbeck.report import render_card, render_report
from limbeck.report.block import Block
from limbeck.report.sections import section_blocks
from limbeck.report.use import Use
from limbeck.results.figures import Figure, Metric
from limbeck.results.record import Results
from limbeck.results.sections import (
    AskedAgain,
    Classes,
    Ensemble,
    EnsembleMember,
    Harness,
    HarnessFigure,
    LayerMap,
    Money,
    RetrievalMemory,
    Search,
    SystemCosts,
    Trial,
)


def block(results: Results, title: str) -> Block:
    return next(found for found in section_blocks(results) if found.title == title)


def test_classes_show_every_system_and_the_change(records: dict[str, Results]) -> None:
    results = records["classification"]
    (table,) = block(results, "Classes").parts[0].tables
    classes = results.section(Classes)
    assert classes
    assert [row.cells[0].text for row in table.rows] == classes.labels
    titles = [column.title for column in table.columns]
    assert titles[:2] == ["Classes", "Rows"]
    assert {"Teacher", "Distilled", "Change", "Sensitivity", "Specificity", "Precision"} <= set(titles)
    first = dict(zip(titles, table.rows[0].cells, strict=True))
    assert first["Rows"].text == "40", "rows of the held-out set, not rows times seeds"
    assert first["Change"].text.endswith("points")


def test_classes_without_rows_are_named(records: dict[str, Results]) -> None:
    results = records["classification"]
    labels = block(results, "Classes").parts[0].tables[0].rows
    empty = {row.cells[0].text for row in labels[:7]}
    figures = [f.model_copy(update={"rows": 0}) if f.slice.get("class") in empty else f for f in results.figures]
    (note,) = block(changed(results, figures=figures), "Classes").notes
    assert note.endswith("and 2 more: means leave this out.")


def test_a_division_of_the_rows_that_no_section_knows_has_a_table(bare: dict[str, Results]) -> None:
    metric = Metric(key="entity_f1", title="Entity F1", unit="share", higher_is_better=True)
    figures = [
        Figure(system="distilled", metric="entity_f1", slice={"type": kind}, value=value, rows=30)
        for kind, value in (("PER", 0.9), ("LOC", 0.8))
    ]
    results = changed(bare["classification"], metrics=[metric], headline="entity_f1", figures=figures)
    (table,) = block(results, "Types").parts[0].tables
    assert table.flat()[1:] == [["PER", "30", "90.0 %"], ["LOC", "30", "80.0 %"]]


def test_trials_of_a_search(records: dict[str, Results]) -> None:
    trials = [
        Trial(system=system, settings={"learning_rate": rate}, value=value, chosen=value > 0.5)
        for system in ("distilled", "fine_tune")
        for rate, value in ((3e-5, 0.6), (1e-4, 0.4))
    ]
    search = Search(metric="accuracy", rows=120, trials=trials)
    found = block(changed(records["classification"], sections=[search]), "Search for settings")
    assert "120 development rows" in found.lead
    assert found.tables[0].flat()[1] == ["Distilled", "3e-05", "60.0 %", "chosen"]
    assert found.brief() == found.tables
    assert found.lead.startswith("Every system was trained with each of the same settings, with the first seed")
    hot = [one.model_copy(update={"settings": {**one.settings, "loss_temperature": 4.0}}) for one in trials[:2]]
    mixed = Search(metric="accuracy", rows=120, trials=[*hot, *trials[2:]])
    found = block(changed(records["classification"], sections=[mixed]), "Search for settings")
    assert found.lead.startswith(
        "Every system was trained with 2 settings (those whose recipe has no loss temperature"
    )
    assert found.tables[0].flat()[1] == ["Distilled", "3e-05", "4", "60.0 %", "chosen"]
    assert found.tables[0].flat()[3] == ["Fine-tuned", "3e-05", "–", "60.0 %", "chosen"]
    budgets = [one.model_copy(update={"budget": 16, "value": None}) for one in trials]
    search = Search(metric="accuracy", rows=120, trials=budgets, other_seconds=90.0)
    found = block(changed(records["classification"], sections=[search]), "Search for settings")
    assert "The other trials took 1 min 30 s" in found.lead
    assert found.tables[0].flat()[1] == ["Distilled", "16 labels", "3e-05", "not finite", "chosen"]
    assert not found.brief(), "too long for card and terminal"


def test_what_simple_baselines_learned_and_took(records: dict[str, Results]) -> None:
    found = block(with_simple(records["classification"]), "Simple baselines")
    assert found.tables[0].flat() == [
        ["System", "Learned", "C", "CPU time"],
        ["TF-IDF + logistic regression", "1,234 gold labels", "1000", "7.5 s"],
        ["Frozen embeddings + logistic regression", "20,000 labels of the teacher", "0.1", "2 min 05 s"],
    ]
    assert found.tables[0].rows[0].cells[0].small == "words and parts of words"
    assert found.brief() == found.tables


def test_layers_that_are_compared(records: dict[str, Results]) -> None:
    results = records["classification"]
    section = LayerMap(
        similarity=[[0.91, 0.5, -0.02], [0.4, 0.6, 0.7]],
        rows=512,
        maps={"distilled": [(1, 1), (2, 3)], "pkd": [(1, 2)]},
        random_student=False,
    )
    found = block(changed(results, sections=[section]), "Layer map")
    assert [row[1:] for row in found.tables[0].flat()[1:]] == [["1 (0.910)", "2 (0.500)"], ["3 (0.700)", ""]]
    assert found.notes == []
    assert "512 training rows" in found.lead
    plot, of_baseline = found.plots()
    assert plot.name == "layer-map-distilled"
    shown = [text.text for text in ElementTree.fromstring(plot.svg).iter("{http://www.w3.org/2000/svg}text")]
    assert shown[-6:] == ["91*", "50", f"{MINUS}2", "40", "60", "70*"]
    assert "student layer 2 with teacher layer 3 (0.700)" in plot.svg
    assert of_baseline.name == "layer-map-pkd"
    random = section.model_copy(update={"random_student": True})
    assert "chance" in block(changed(results, sections=[random]), "Layer map").notes[0]


def test_what_a_student_looks_up(records: dict[str, Results]) -> None:
    told = RetrievalMemory(rows=1200, neighbours=16, temperature=0.1, own_share=0.25, chosen_on=300)
    (found,) = section_blocks(changed(records["classification"], sections=[told], figures=[]))
    (fact,), (limit,) = found.facts, found.limits
    assert "the 16 nearest of 1,200 training rows" in fact
    assert "probabilities 0.25, temperature 0.1, chosen on 300 development rows." in fact
    assert "an embedding of each training row" in limit
    as_told = told.model_copy(update={"chosen_on": 0})
    (found,) = section_blocks(changed(records["classification"], sections=[as_told], figures=[]))
    assert "as the recipe has it." in found.facts[0]


def test_members_of_an_ensemble(records: dict[str, Results]) -> None:
    results = records["classification"]
    words = EnsembleMember(title="TF-IDF", weight=0.25, right=0.7, right_out_of_fold=0.65, seconds=19.0)
    field = EnsembleMember(title="labels in 'gpt'", weight=0.75, right=None, right_out_of_fold=None, seconds=0.0)
    told = Ensemble(
        members=[words, field],
        folds=3,
        learned_rows=1200,
        labels="gold",
        fitted_rows=60,
        temperature=0.9,
        confidence=0.8,
    )
    found = block(changed(results, sections=[*results.sections, told]), "The teacher's members")
    assert found.tables[0].flat() == [
        ["Member", "Weight", "Accuracy", "Accuracy", "Time"],
        ["TF-IDF", "0.25", "70.0 %", "65.0 %", "19.0 s"],
        ["labels in 'gpt'", "0.75", "–", "–", "–"],
    ]
    assert "learned 1,200 training rows in 3 folds" in found.lead
    assert "to 60 rows with gold labels, and the mean a temperature of 0.90." in found.lead
    assert found.lead.endswith("without a confidence count as 80.0 % sure.")

    assert "were trained on all of them" not in found.lead
    again = changed(results, sections=[*results.sections, told.model_copy(update={"refit": True})])
    assert "Other rows were answered by models that were trained on all of them." in (
        block(again, "The teacher's members").lead
    )

    by_field = told.model_copy(
        update={"labels": "teacher", "temperature": None, "confidence": None, "rounds": 2, "relabelled_rows": 44}
    )
    found = block(changed(results, sections=[*results.sections, by_field]), "The teacher's members")
    assert [column.title for column in found.tables[0].columns][2:4] == ["Accuracy", "Agreement"]
    assert "the labels of a field, which no gold label confirms. All were trained in 2 rounds" in found.lead
    assert "44 rows had the ensemble's label" in found.lead
    page = render_report(changed(results, sections=[*results.sections, told]))
    assert "labels in &#39;gpt&#39;" in page

    api = field.model_copy(update={"title": "big via an API", "labels_from": "api"})
    asked = by_field.model_copy(
        update={"members": [words, api], "asked_again": AskedAgain(rows=30, changed=12, left_out=4)}
    )
    lead = block(changed(results, sections=[*results.sections, asked]), "The teacher's members").lead
    assert "the labels of an API, which no gold label confirms." in lead
    assert "in place of the API's." in lead
    assert lead.endswith(
        "the API was asked again about 30 rows whose label the other members contradicted, and changed it for 12; its "
        "budget left no room for 4 more, which keep their first label."
    )


def test_tasks_of_lm_eval(records: dict[str, Results]) -> None:
    one = HarnessFigure(
        system="distilled", task="arc_easy", metric="acc", value=0.5, standard_error=0.012, higher_is_better=True,
        samples=100, shots=0, version="1",
    )  # fmt: skip
    found = block(changed(records["generation"], sections=[Harness(figures=[one])]), "lm-eval")
    assert found.tables[0].flat() == [["Task", "Metric", "Distilled"], ["arc_easy", "acc", "0.500 ± 0.012"]]
    assert found.brief() == found.tables


def test_money_is_shown_where_there_is_a_rate(records: dict[str, Results]) -> None:
    costs = records["ranking"].section(SystemCosts)
    assert costs
    free = [cost.model_copy(update={"money": None}) for cost in costs.systems]
    without = block(changed(records["ranking"], sections=[SystemCosts(systems=free)]), "Costs")
    assert "Money" not in [column.title for column in without.tables[0].columns]
    priced = [cost.model_copy(update={"money": Money(amount=3.3, currency="EUR")}) for cost in costs.systems]
    shown = block(changed(records["ranking"], sections=[SystemCosts(systems=priced)]), "Costs")
    assert shown.tables[0].rows[0].cells[-1].text == "3.30 EUR"
    assert "Money is device hours times the rate" in shown.lead


def a_new_kind(results: Results) -> Results:
    """A run of another kind, with figures in no unit of which less may be better, on several values."""
    metrics = [
        Metric(
            key="pearson", title="Pearson", detail="correlation", unit="number", higher_is_better=True, meaning="R."
        ),
        Metric(key="mse", title="MSE", unit="number", higher_is_better=False),
        Metric(key="mse_to_teacher", title="MSE to the teacher", unit="number", higher_is_better=False),
    ]
    systems = [system for system in results.systems if system.role != "constant"]
    figures = [
        Figure(system=system.name, metric=metric.key, slice=slice, value=0.5 + n / 10, low=0.4, high=0.9, rows=50)
        for n, system in enumerate(systems)
        for metric in metrics
        for slice in ({}, {"value": "humour"}, {"value": "irony"})
        if not (system.role == "teacher" and metric.key == "mse_to_teacher")
    ]
    speed = [section for section in results.sections if section.kind == "speed"]
    return changed(results, kind="regression", metrics=metrics, headline="mse", systems=systems, figures=figures,
                   comparisons=[], sections=speed)  # fmt: skip


@pytest.mark.slow
def test_a_new_kind_needs_no_code_here(records: dict[str, Results]) -> None:
    results = a_new_kind(records["classification"])
    page = render_report(results)
    for words in (
        "MSE to the teacher",
        "MSE against size",
        "Down and to the left is better",
        "All values",
        "<dt>Pearson",
    ):
        assert words in page
    assert "Teacher: no MSE to the teacher, since it would be compared with itself." in page
    use = Use(what="model that gives texts a number", task="text-classification", command="limbeck predict")
    card = render_card(results, use)
    assert "name: MSE\n" in card
    assert "A small model that gives texts a number" in card


def test_what_classes_are_called(records: dict[str, Results]) -> None:
    classes = records["classification"].section(Classes)
    assert classes is not None
    entities = changed(records["classification"], sections=[classes.model_copy(update={"name": "entity types"})])
    assert block(entities, "Entity types").facts == ["13 entity types."]
    assert block(records["classification"], "Classes").facts == ["13 classes."]
