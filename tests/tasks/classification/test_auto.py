"""The run file that ``recipe: auto`` stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from limbeck.errors import ConfigError
from limbeck.runs.config import load_run_file, run_config
from limbeck.tasks.classification.auto import filled

SHORT: dict[str, Any] = {
    "data": {"train": ["labelled.jsonl", "texts.jsonl"]},
    "teacher": {"model": "org/encoder"},
    "recipe": "auto",
    "output": "run",
}


def test_a_short_file_is_a_whole_run() -> None:
    run = run_config(SHORT)
    bag, probe, contrastive = run.teacher.ensemble.members
    assert bag.tfidf
    assert (probe.model, probe.recipe.name, probe.recipe.arguments) == (
        "org/encoder",
        "linear_probe",
        {"spread_labels": True},
    )
    assert (contrastive.recipe.name, contrastive.training.max_steps) == ("setfit", 80)
    assert (run.student.model, run.student.layers, run.student.keep) == ("org/encoder", "uniform", "half")
    assert (run.recipe.name, run.recipe.arguments) == ("kd", {"loss_temperature": 1.0, "label_weight": 0.0})
    assert (run.training.max_steps, run.training.learning_rate) == (600, 3e-4)


def test_another_models_labels_are_a_member() -> None:
    teacher = {"labels_from": "said", "confidence": "sure"}
    run = run_config({**SHORT, "teacher": teacher, "student": {"model": "org/encoder", "layers": "first", "keep": 2}})
    bag, probe, tuned, column = run.teacher.ensemble.members
    assert bag.tfidf
    assert [probe.recipe.arguments, tuned.recipe.name] == [{"spread_labels": False}, "fine_tune"]
    assert (column.labels_from, column.confidence) == ("said", "sure")
    assert run.student.keep == 2


def test_a_model_that_is_asked_is_a_member() -> None:
    api, student = {"base_url": "http://127.0.0.1:9/v1", "model": "big"}, {"model": "org/encoder"}
    teacher = {"api": api, "prompt": {}, "samples": 3, "pilot": 7, "pooling": "mean"}
    run = run_config({**SHORT, "teacher": teacher, "student": student})
    bag, probe, tuned, asked = run.teacher.ensemble.members
    assert bag.tfidf
    assert [probe.recipe.arguments, tuned.recipe.name] == [{"spread_labels": False}, "fine_tune"]
    assert [one.model for one in (probe, tuned)] == ["org/encoder"] * 2
    assert [one.pooling for one in (probe, tuned, asked)] == ["mean", "mean", "auto"]
    assert (asked.api.model, asked.samples, asked.pilot) == ("big", 3, 7)
    assert run.teacher.asked is asked
    assert not run.teacher.ensemble.refit


def test_code_that_comes_with_a_model_that_is_asked_is_not_that_of_the_encoder() -> None:
    teacher = {"model": "org/causal", "prompt": {}, "trust_remote_code": True}
    run = run_config({**SHORT, "teacher": teacher, "student": {"model": "org/encoder"}})
    *members, asked = run.teacher.ensemble.members
    assert (asked.model, asked.trust_remote_code) == ("org/causal", True)
    assert [(one.model, one.trust_remote_code) for one in members[1:]] == [("org/encoder", False)] * 2


def test_what_is_given_stays() -> None:
    teacher = {"model": "org/encoder", "recipe": "setfit"}
    training = {"max_steps": 9, "max_length": 64}
    run = run_config({**SHORT, "teacher": teacher, "student": {"model": "s"}, "training": training})
    assert (run.teacher.ensemble, run.teacher.recipe.name, run.student.cut) == (None, "setfit", None)
    assert (run.training.max_steps, run.training.max_length, run.training.dropout) == (9, 64, 0.0)


def test_given_epochs_are_not_overruled_by_steps() -> None:
    training = run_config({**SHORT, "training": {"num_train_epochs": 2}}).training
    assert (training.max_steps, training.num_train_epochs) == (None, 2)


def test_layers_of_the_teacher_are_those_of_its_encoder() -> None:
    student = run_config({**SHORT, "student": {"from_teacher": {"keep": 2}, "adapter": {"kind": "lora"}}}).student
    assert (student.model, student.layers, student.keep) == ("org/encoder", "spread", 2)
    assert student.adapter.kind == "lora"


def test_how_the_encoder_is_read_holds_for_all_that_read_it() -> None:
    run = run_config({**SHORT, "teacher": {"model": "m", "pooling": "first", "trust_remote_code": True}})
    _, *models = run.teacher.ensemble.members
    for one in (*models, run.student):
        assert (one.pooling, one.trust_remote_code) == ("first", True)


def test_what_run_yaml_says_is_the_same_run(tmp_path: Path) -> None:
    config = run_config(SHORT)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")
    assert load_run_file(tmp_path / "run.yaml") == config


def test_other_files_are_left_alone() -> None:
    values = {**SHORT, "recipe": "kd"}
    assert filled(values) is values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": {"name": "auto", "minutes": 3}}, "recipe 'auto' takes no arguments; minutes is a key"),
        ({"baselines": ["auto"]}, "recipe 'auto' stands for a whole run file"),
        ({"task": {"kind": "regression"}}, "recipe 'auto' stands for a whole run file of classification"),
        (
            {"teacher": {"labels_from": "said"}},
            "name it as teacher.model, or with teacher.labels_from or teacher.prompt as student.model",
        ),
        ({"teacher": {}}, "recipe 'auto' trains an encoder"),
        ({"teacher": {"model": "org/causal", "prompt": {}}}, "with teacher.labels_from or teacher.prompt as student"),
        ({"teacher": {"modle": "m"}}, "teacher.modle"),
        ({"teacher": "org/encoder"}, "teacher"),
        ({"student": {"from_teacher": {"keep": 2}, "model": "s"}}, "exactly one of from_teacher"),
        ({"student": {"from_teacher": 3}}, "student"),
        ({"minutes": 0}, "minutes"),
    ],
)
def test_bad_files(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_config({**SHORT, **change})
