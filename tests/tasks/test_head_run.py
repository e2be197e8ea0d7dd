"""Runs with a head: the development rows of a search, for each of the three kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.runs.interruption import InterruptAfter
from tests.tasks.conftest import write_rows

import limbeck
from limbeck.errors import ConfigError, DataError
from limbeck.results.sections import Search
from limbeck.runs.config import run_config
from limbeck.tasks.table import task_of

pytestmark = pytest.mark.usefixtures("no_new_process")
NOTHING, GOOD = 1e-9, 3e-3
TRAINING = {"learning_rate": 1.0, "batch_size": 16, "num_train_epochs": 8}
TASKS: dict[str, dict[str, Any]] = {
    "token_classification": {"kind": "token_classification", "words": "tokens", "tags": "tags"},
    "regression": {"kind": "regression", "value": "price"},
    "multi_label": {"kind": "multi_label"},
}
HEADLINES = {"token_classification": "entity_f1", "regression": "pearson", "multi_label": "micro_f1"}
WRONG = {
    "token_classification": {"tokens": ["Rome"], "tags": ["B-PLACE"]},
    "regression": {"text": "old", "price": "dear"},
    "multi_label": {"text": "old", "labels": ["older"]},
}


@pytest.fixture(params=list(TASKS))
def sections(request: pytest.FixtureRequest, tmp_path: Path, encoder: Path) -> dict[str, Any]:
    fixtures = {"token_classification": "tagged", "regression": "valued", "multi_label": "labelled"}
    write: Callable[..., Path] = request.getfixturevalue(fixtures[request.param])
    return {
        "task": TASKS[request.param],
        "data": {"train": str(write("train", 200)), "test": str(write("test", 40, start=1000))},
        "teacher": {"model": str(encoder), "fine_tune": {**TRAINING, "learning_rate": GOOD}},
        "student": {"model": str(encoder)},
        "recipe": "kd",
        "training": TRAINING,
        "search": {"learning_rate": [NOTHING, GOOD]},
        "output": str(tmp_path / "run"),
    }


@pytest.mark.slow
def test_each_system_has_the_best_of_two_rates(sections: dict[str, Any]) -> None:
    results = limbeck.distill(**sections)
    search, kind = results.section(Search), sections["task"]["kind"]
    assert search is not None
    assert (search.metric, search.rows) == (HEADLINES[kind], 20)
    trials = [(one.system, one.settings["learning_rate"], one.chosen) for one in search.trials]
    assert trials == [
        (system, rate, rate == GOOD) for system in ("distilled", "fine_tune") for rate in (NOTHING, GOOD)
    ]
    assert results.run.rows["dev"] == 20
    run = Path(sections["output"])
    log = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["stage"] for line in log if line["system"] == "distilled"} == {f"kd-lr{NOTHING}", f"kd-lr{GOOD}"}
    assert {curve.stage for curve in results.curves if curve.system == "distilled"} == {f"kd-lr{GOOD}"}
    ours, before = (results.figure(name, search.metric) for name in ("distilled", "student_init"))
    assert ours is not None
    assert before is not None
    assert ours.value > before.value


@pytest.mark.slow
def test_stages_end_with_their_best_weights(sections: dict[str, Any], tmp_path: Path) -> None:
    """At a rate that changes nothing the start is best, as the first of equals."""
    metric = HEADLINES[sections["task"]["kind"]]
    del sections["search"]
    sections["teacher"]["fine_tune"] |= {"early_stopping": {"eval_steps": 8, "early_stopping_patience": None}}
    stopping = {"eval_steps": 2, "early_stopping_patience": 2}
    sections["training"] = {**TRAINING, "learning_rate": NOTHING, "early_stopping": stopping}
    results = limbeck.distill(**sections)
    assert {cost.stage: cost.steps for cost in results.costs if cost.system != "teacher"} == {"kd": 4, "fine_tune": 4}
    assert results.run.rows["dev"] == 20
    judged = {curve.system: curve for curve in results.curves if curve.series == f"dev/{metric}"}
    assert set(judged) == {"teacher", "distilled", "fine_tune"}
    assert judged["distilled"].steps == [0, 2, 4]
    start, after, teacher = (results.figure(name, metric) for name in ("student_init", "distilled", "teacher"))
    assert start is not None
    assert after is not None
    assert teacher is not None
    assert after.value == start.value < teacher.value
    again = {**sections, "output": str(tmp_path / "again")}
    for advances in (3, 6, 4):
        with pytest.raises(KeyboardInterrupt):
            limbeck.distill(**again, progress=InterruptAfter(advances))
    assert limbeck.distill(**again).figures == results.figures


def test_development_rows_need_a_reader(sections: dict[str, Any]) -> None:
    del sections["search"]
    sections["data"]["dev"] = sections["data"]["test"]
    with pytest.raises(ConfigError, match=r"data\.dev: development rows are for search and training\.early_stopping"):
        run_config(sections)
    sections["training"] = {**TRAINING, "early_stopping": {}}
    config = run_config(sections)
    found: Any = task_of(config).read(config, None)
    assert len(found.dev.texts) == 40
    with pytest.raises(ConfigError, match="metric_for_best_model"):
        run_config({**sections, "training": {"early_stopping": {"metric_for_best_model": "loss"}}})


def test_development_rows_are_taken_out_of_the_training_rows(sections: dict[str, Any]) -> None:
    config, plain = run_config(sections), run_config({**sections, "search": None})
    rows, whole = (task_of(one).read(one, None) for one in (config, plain))
    assert rows.dev is not None  # type: ignore[attr-defined]
    assert len(rows.dev.texts) == 20  # type: ignore[attr-defined]
    assert sorted([*rows.train.texts, *rows.dev.texts]) == sorted(whole.train.texts)  # type: ignore[attr-defined]
    assert rows.fingerprints == whole.fingerprints


def test_development_rows_of_ones_own(sections: dict[str, Any], tmp_path: Path) -> None:
    sections["data"]["dev"] = sections["data"]["test"]
    config = run_config(sections)
    rows = task_of(config).read(config, None)
    assert set(rows.fingerprints) == {"train", "test", "dev"}
    assert (len(rows.train.texts), len(rows.dev.texts)) == (200, 40)  # type: ignore[attr-defined]
    kind = sections["task"]["kind"]
    unlabelled = {"tokens": ["Rome"]} if kind == "token_classification" else {"text": "old"}
    for row, words in ((WRONG[kind], r"PLACE|dear|older"), (unlabelled, r"none of the 1 rows of data\.dev")):
        sections["data"]["dev"] = str(write_rows(tmp_path / "dev.jsonl", [row]))
        config = run_config(sections)
        with pytest.raises(DataError, match=words):
            task_of(config).read(config, None)


def test_too_few_labelled_rows(sections: dict[str, Any], tmp_path: Path) -> None:
    lines = Path(sections["data"]["train"]).read_text(encoding="utf-8").splitlines(keepends=True)
    few = tmp_path / "few.jsonl"
    few.write_text("".join(lines[:39]), encoding="utf-8")
    sections["data"]["train"] = str(few)
    config = run_config(sections)
    with pytest.raises(DataError, match=r"search keeps 20 labelled training rows back .* there are 39"):
        task_of(config).read(config, None)


def test_development_rows_that_are_training_rows_are_warned_of(sections: dict[str, Any]) -> None:
    train = Path(sections["data"]["train"])
    dev = train.with_name("own-dev.jsonl")
    dev.write_text("".join(train.read_text(encoding="utf-8").splitlines(keepends=True)[:25]), encoding="utf-8")
    config = run_config({**sections, "data": {**sections["data"], "dev": str(dev)}})
    found: Any = task_of(config).read(config, None)
    assert any("texts of data.dev also occur in the training rows" in words for words in found.warnings)
