"""Records of limbeck 0.1, one format for each kind of run, as records of today: nothing that was said is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.results.old_records import old_record

from limbeck.results.record import Results
from limbeck.results.sections import (
    Adapter,
    Calibration,
    Classes,
    Forgetting,
    Languages,
    Retention,
    Samples,
    SystemCosts,
    TeacherLabels,
    Writing,
)
from limbeck.results.upgrade import upgrade

FULL = ["classification", "ranking", "generation"]


def upgraded(name: str) -> Results:
    return Results.model_validate(upgrade(old_record(name)))


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    elif value is not None:
        yield path, value


@pytest.mark.parametrize("name", FULL)
def test_every_number_and_text_is_still_there(name: str) -> None:
    old = old_record(name)
    # Rows of classes were those of all seeds together; an answer and its rows are a sentence now.
    elsewhere = {("systems", "per_class", "rows"), ("figures", "one_answer", "answer"),
                 ("figures", "one_answer", "rows"), ("figures", "one_answer", "of_rows")}  # fmt: skip
    names = {"name", "first", "second", "system", "metric", "headline", "format"}
    now = {value for _, value in leaves(upgraded(name).model_dump())}
    now |= {key for language in old.get("language_names", {}) for key in [language]}
    lost = [
        (path, value)
        for path, value in leaves(old)
        if value not in now and path not in elsewhere and path[-1] not in names and not isinstance(value, bool)
    ]
    assert lost == []


@pytest.mark.parametrize("name", [*FULL, *(f"bare_{name}" for name in FULL)])
def test_a_record_of_today_comes_back_as_it_is(name: str) -> None:
    results = upgraded(name)
    written = json.loads(results.model_dump_json())
    assert Results.model_validate(upgrade(written)) == results
    assert {figure.metric for figure in results.figures} <= {metric.key for metric in results.metrics}
    named = {system.name for system in results.systems}
    assert {figure.system for figure in results.figures} <= named
    assert {side for c in results.comparisons for side in (c.first, c.second)} <= named


def test_roles_of_a_classification_run() -> None:
    results = upgraded("classification")
    assert [(system.name, system.role) for system in results.systems] == [
        ("teacher", "teacher"),
        ("student_init", "student_init"),
        ("fine_tune", "baseline"),
        ("anon", "baseline"),
        ("distilled", "main"),
        ("constant", "constant"),
    ]
    assert [system.name for system in results.systems if system.control] == ["fine_tune"]
    assert {cost.system for cost in results.costs} == {"teacher", "fine_tune", "distilled"}


def test_figures_of_a_classification_run() -> None:
    old, results = old_record("classification"), upgraded("classification")
    (student,) = (system for system in old["systems"] if system["name"] == "distilled")
    accuracy = results.figure("distilled", "accuracy")
    assert accuracy is not None
    assert accuracy.interval is not None
    assert accuracy.interval.model_dump() == student["accuracy"]
    assert accuracy.seeds == {seed["seed"]: seed["accuracy"] for seed in student["seeds"]}
    loss = results.figure("distilled", "loss")
    assert loss is not None
    assert loss.interval is None
    of_class = student["per_class"][3]
    recall = results.figure("distilled", "sensitivity", slice={"class": of_class["label"]})
    assert recall is not None
    assert (recall.value, recall.rows) == (of_class["recall"], of_class["rows"] // 3)
    speed = results.speed("distilled")
    assert speed is not None
    assert speed.latency_ms_p95 == student["speed"]["latency_ms_p95"]
    assert results.speed("constant") is None


def test_tests_of_a_classification_run() -> None:
    old, results = old_record("classification"), upgraded("classification")
    comparison = results.comparison("distilled", "fine_tune", "accuracy")
    assert comparison is not None
    before = old["comparisons"][0]
    assert comparison.p_value() == before["bootstrap_p_value"]
    assert comparison.p_value("t") == before["t_test_p_value"]
    assert list(comparison.seeds.values()) == before["per_seed_difference"]
    mcnemar = [test for test in comparison.tests if test.name == "mcnemar"]
    assert [{"seed": t.seed, "p_value": t.p_value, **t.details} for t in mcnemar] == before["mcnemar"]
    assert comparison.p_value("holm") is None


def test_sections_of_a_classification_run() -> None:
    old, results = old_record("classification"), upgraded("classification")
    for kind, before in ((Calibration, "calibration"), (TeacherLabels, "teacher_labels")):
        section = results.section(kind)
        assert section is not None
        assert section.model_dump(exclude={"kind", "systems"}) == old[before]
    adapter, classes = results.section(Adapter), results.section(Classes)
    assert adapter is not None
    assert (adapter.name, adapter.parameters) == ("lora", old["adapter"]["parameters"])
    assert classes is not None
    assert classes.labels == old["labels"]


def test_a_student_without_labels_is_about_agreement() -> None:
    results = upgraded("bare_classification")
    assert results.headline == "agreement"
    assert results.section(Adapter) is None
    assert results.figures == []


def test_figures_of_a_cross_lingual_run() -> None:
    old, results = old_record("ranking"), upgraded("ranking")
    (before,) = (s for s in old["systems"] if (s["name"], s["n_target"]) == ("ml_ipd", 16))
    cells = {(cell["task"], cell["lang"]): cell for cell in before["cells"]}
    cell = results.figure("ml_ipd", "accuracy", slice={"lang": "sw", "task": "topic"}, budget=16)
    assert cell is not None
    assert cell.interval is not None
    assert cell.interval.model_dump() == cells["topic", "sw"]["accuracy"]
    assert cell.rows == cells["topic", "sw"]["records"]
    of_language = results.figure("ml_ipd", "accuracy", slice={"lang": "sw"}, budget=16)
    assert of_language is not None
    tasks = [cells[task, "sw"]["accuracy"]["value"] for task in ("topic", "entailment")]
    assert of_language.value == pytest.approx(sum(tasks) / 2)
    macro = results.figure("ml_ipd", "accuracy", budget=16)
    assert macro is not None
    assert macro.interval is not None
    assert macro.interval.model_dump() == before["macro_accuracy"]
    assert set(macro.seeds) == set(old["seeds"])
    low = results.figure("ml_ipd", "accuracy", slice={"resource": "low"}, budget=16)
    assert low is not None
    assert low.value == before["low_accuracy"]
    constant = results.role("constant")
    assert constant is not None
    most_frequent = results.figure(constant.name, "accuracy")
    assert most_frequent is not None
    assert most_frequent.value == old["most_frequent"]


def test_roles_of_a_cross_lingual_run() -> None:
    results = upgraded("ranking")
    assert {system.name: system.role for system in results.systems} == {
        "teacher": "teacher",
        "ml_ipd": "main",
        "ml_dft": "baseline",
        "transfer": "baseline",
        "constant": "constant",
    }
    assert results.budgets() == [0, 16]
    assert [system.name for system in results.systems if system.control] == ["transfer"]
    assert {curve.system for curve in results.curves} == {"teacher", "ml_ipd", "ml_dft"}


def test_the_main_system_is_the_one_that_was_compared() -> None:
    old = old_record("ranking")
    for comparison in old["comparisons"]:
        comparison["first"], comparison["second"] = "ml_dft", "ml_ipd"
    main = Results.model_validate(upgrade(old)).role("main")
    assert main is not None
    assert main.name == "ml_dft"


def test_tests_of_a_cross_lingual_run() -> None:
    old, results = old_record("ranking"), upgraded("ranking")
    before = next(
        c for c in old["comparisons"] if (c["second"], c["n_target"], c["metric"]) == ("transfer", 16, "mrr")
    )
    macro = results.comparison("ml_ipd", "transfer", "mrr", budget=16)
    assert macro is not None
    assert macro.p_value("bootstrap") == before["macro"]["bootstrap_p_value"]
    assert macro.p_value("holm") == before["holm_p_value"]
    t_test = macro.test("t")
    assert t_test is not None
    assert {"p_value": t_test.p_value, **t_test.details} == before["t_test"]
    german = results.comparison("ml_ipd", "transfer", "accuracy", slice={"lang": "de"}, budget=16)
    assert german is not None
    assert german.p_value("t") is None
    assert len([test for test in german.tests if test.name == "mcnemar"]) == 3


def test_sections_of_a_cross_lingual_run() -> None:
    old, results = old_record("ranking"), upgraded("ranking")
    languages, costs, forgetting = (results.section(kind) for kind in (Languages, SystemCosts, Forgetting))
    assert isinstance(languages, Languages)
    assert languages.resources == {"en": "source", "de": "high", "fr": "high", "sw": "low"}
    assert languages.candidates["de"] == {"topic": 7, "entailment": 3}
    assert isinstance(costs, SystemCosts)
    assert [cost.device_hours for cost in costs.systems] == [cost["device_hours"] for cost in old["costs"]]
    assert costs.systems[0].money is not None
    assert isinstance(forgetting, Forgetting)
    assert [check.alarm for check in forgetting.checks] == [check["alarm"] for check in old["english"]]


def test_a_single_task_keeps_the_interval_of_its_language() -> None:
    figure = upgraded("bare_ranking").figure("ml_ipd", "accuracy", slice={"lang": "de"}, budget=0)
    assert figure is not None
    assert figure.interval is not None


def test_figures_of_a_generating_run() -> None:
    old, results = old_record("generation"), upgraded("generation")
    (student,) = (s for s in old["figures"]["systems"] if s["name"] == "distilled")
    for key, before in (("kl", "kl_to_teacher_nats"), ("nll", "nll_nats"), ("perplexity", "perplexity")):
        figure = results.figure("distilled", key)
        assert figure is not None
        assert figure.interval is not None
        assert figure.interval.model_dump() == student[before]
        assert figure.seeds == {seed["seed"]: seed[before] for seed in student["seeds"]}
    empty = results.figure("distilled", "empty")
    assert empty is not None
    assert empty.value == student["written"]["empty"]["value"]
    constant = results.role("constant")
    assert constant is not None
    assert constant.detail == "'it goes', the reference of 5 of 60 answered rows"
    speed = results.speed("distilled")
    assert speed is not None
    assert speed.tokens_per_second == student["speed"]["tokens_per_second"]


def test_sections_of_a_generating_run() -> None:
    old, results = old_record("generation"), upgraded("generation")
    retention, samples, writing = (results.section(kind) for kind in (Retention, Samples, Writing))
    assert isinstance(retention, Retention)
    assert {kept.system for kept in retention.kept} == {"distilled", "fine_tune", "student_init"}
    assert isinstance(samples, Samples)
    assert [sample.prompt for sample in samples.samples] == [s["prompt"] for s in old["figures"]["samples"]]
    assert isinstance(writing, Writing)
    assert writing.test_tokens == old["test_tokens"]
    assert results.headline == old["figures"]["headline"]


@pytest.mark.parametrize("name", FULL)
def test_what_came_late_may_be_missing(name: str) -> None:
    old = old_record(name)
    late = {"most_frequent", "adapter", "calibration", "teacher_labels", "one_answer", "sensitivity", "specificity",
            "ndcg", "span_f1", "money", "energy_kwh", "gradient_bytes", "optimiser_bytes"}  # fmt: skip

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(item) for key, item in value.items() if key not in late}
        return [without(item) for item in value] if isinstance(value, list) else value

    stripped = without(old)
    for cost in stripped["costs"] if name == "ranking" else []:
        cost["energy_kwh"] = None  # was always there
    results = Results.model_validate(upgrade(stripped))
    assert results.figure(results.roles("main")[0].name, results.headline, budget=next(iter(results.budgets()), None))


@pytest.mark.parametrize("name", FULL)
def test_a_damaged_old_record_is_told_apart(name: str) -> None:
    for fault in ({"systems": 3, "figures": 3}, {"curves": [{}]}, {"verdict": ...}):
        old = {**old_record(name), **fault}
        if old["verdict"] is ...:
            del old["verdict"]
        with pytest.raises(ValueError, match="an older record"):
            upgrade(old)


def test_rows_of_the_source_language_were_once_called_english() -> None:
    """Also in records of today's format from before."""
    assert upgraded("ranking").run.rows["source"] == old_record("ranking")["records"]["english"]
    current = upgraded("classification").model_dump(mode="json")
    current["run"]["rows"] = {"english": 4, "test": 2}
    assert Results.model_validate(upgrade(current)).run.rows == {"source": 4, "test": 2}
