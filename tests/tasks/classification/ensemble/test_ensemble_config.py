"""The sections of an ensemble in a run file."""

from __future__ import annotations

from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.runs.config import run_config
from limbeck.tasks.classification.config import RunConfig


def checked(ensemble: Any, **teacher: Any) -> RunConfig:
    config = run_config(
        {
            "data": {"train": "rows.jsonl"},
            "teacher": {"ensemble": ensemble, **teacher},
            "student": {"model": "encoder"},
            "recipe": "kd",
            "output": "run",
        }
    )
    assert isinstance(config, RunConfig)
    return config


def test_an_ensemble_reads_as_it_was_written_out() -> None:
    config = checked({"members": ["tfidf", {"model": "m"}, {"labels_from": "gpt", "confidence": "sure"}]})
    assert config.teacher.ensemble is not None
    assert config.teacher.ensemble.folds == 3
    assert config.teacher.ensemble.members[1].training is not None
    assert config.teacher.label_fields == {
        "ensemble.members.labels_from": "gpt",
        "ensemble.members.confidence": "sure",
    }
    assert run_config(config.model_dump()) == config
    assert not config.teacher.is_classifier


@pytest.mark.parametrize(
    ("ensemble", "message"),
    [
        ({"members": []}, "members"),
        ({"members": ["tfidf"], "folds": 1}, "folds"),
        ({"members": [{}]}, r"give exactly one of tfidf, model, api, labels_from \(given: none\)"),
        ({"members": [{"model": "m", "labels_from": "f"}]}, r"\(given: model, labels_from\)"),
        (
            {"members": [{"tfidf": True, "training": {}}]},
            "recipe, training and pooling are for a member",
        ),
        ({"members": [{"model": "m", "confidence": "f"}]}, "confidence needs labels_from"),
        ({"members": ["tfidf", "tfidf"]}, "tfidf is there twice"),
        (
            {"members": ["tfidf", {"labels_from": "a"}, {"labels_from": "b"}]},
            "only one of them can be labels_from or have",
        ),
        ({"members": ["tfidf"], "rounds": 2}, "more rounds need a member with labels_from or a prompt"),
        ({"members": [{"labels_from": "a"}]}, "labels_from alone is no ensemble"),
        ({"members": ["bert"]}, "members"),
    ],
)
def test_ensembles_that_cannot_be(ensemble: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked(ensemble)


def test_the_recipe_of_a_member_is_spelled_out_and_needs_no_teacher() -> None:
    ensemble = checked({"members": [{"model": "m", "recipe": "setfit"}]}).teacher.ensemble
    assert ensemble is not None
    assert ensemble.members[0].recipe.arguments["loss"] == "cosine"
    with pytest.raises(ConfigError, match=r"teacher\.ensemble\.members\.1\.recipe: 'kd' needs a teacher or its texts"):
        checked({"members": ["tfidf", {"model": "m", "recipe": "kd"}]})


def test_an_ensemble_is_no_other_teacher_too() -> None:
    with pytest.raises(ConfigError, match="give exactly one of model, api, labels_from, ensemble"):
        checked({"members": ["tfidf"]}, model="m")
    with pytest.raises(ConfigError, match="an ensemble reads the texts as they are"):
        checked({"members": ["tfidf"]}, prompt={"input": "{{ text }}", "body": "text"})


API = {"api": {"base_url": "http://127.0.0.1:9/v1", "model": "m"}, "prompt": {}}
CAUSAL = {"model": "causal", "prompt": {}}


def test_what_is_asked_with_a_prompt_is_a_member() -> None:
    for member in (API, CAUSAL):
        config = checked({"members": ["tfidf", member, {"model": "m"}]})
        ensemble = config.teacher.ensemble
        assert ensemble is not None
        assert [one.learns for one in ensemble.members] == [True, False, True]
        assert config.teacher.asked is ensemble.members[1] is ensemble.labeller
        assert config.teacher.asked_at == ("teacher", "ensemble", "members", 1)
        assert [one.training is None for one in ensemble.members] == [True, True, False]
        assert run_config(config.model_dump()) == config
    rest = {"data": {"train": "t"}, "student": {"model": "e"}, "recipe": "kd", "output": "o"}
    alone = run_config({"teacher": API, **rest})
    assert alone.teacher.asked is alone.teacher
    assert alone.teacher.asked_at == ("teacher",)
    assert checked({"members": ["tfidf", {"labels_from": "f"}]}).teacher.asked is None


def test_the_labels_of_the_task_are_described_in_the_prompt_of_a_member() -> None:
    values = checked({"members": ["tfidf", API]}).model_dump() | {"task": {"labels": {"a": "first", "b": None}}}
    asked = run_config(values).teacher.asked
    assert asked.prompt.descriptions == {"a": "first"}


@pytest.mark.parametrize(
    ("ensemble", "share"),
    [
        ({"members": ["tfidf", API], "rounds": 2}, 0.2),
        ({"members": ["tfidf", API], "rounds": 2, "ask_again": 0}, 0),
        ({"members": ["tfidf", API], "rounds": 2, "ask_again": 0.5}, 0.5),
        ({"members": ["tfidf", API]}, None),
        ({"members": ["tfidf", CAUSAL], "rounds": 2}, None),
        ({"members": ["tfidf", {"labels_from": "f"}], "rounds": 2}, None),
    ],
)
def test_the_share_to_ask_again_is_spelled_out(ensemble: Any, share: float | None) -> None:
    config = checked(ensemble)
    assert config.teacher.ensemble is not None
    assert config.teacher.ensemble.ask_again == share
    assert run_config(config.model_dump()) == config


@pytest.mark.parametrize(
    ("ensemble", "message"),
    [
        (
            {"members": ["tfidf", API, {"labels_from": "a"}]},
            r"only one of them can be labels_from or have a prompt \(given: a prompt, labels_from\).*Leave out",
        ),
        ({"members": ["tfidf", API, CAUSAL]}, r"\(given: a prompt, a prompt\)"),
        ({"members": ["tfidf", {"api": API["api"]}]}, r"teacher\.ensemble\.members\.1: .*api needs a prompt"),
        ({"members": ["tfidf", {"prompt": {}}]}, r"exactly one of tfidf, model, api, labels_from \(given: none\)"),
        ({"members": [{"tfidf": True, "prompt": {}}]}, "prompt is for an api, or a causal language model as model"),
        ({"members": ["tfidf", {"labels_from": "f", "prompt": {}}]}, "with labels_from the rows hold its answers"),
        ({"members": ["tfidf", API | {"training": {}}]}, "are for a member with a model that learns"),
        ({"members": ["tfidf", CAUSAL | {"recipe": "setfit"}]}, "are for a member with a model that learns"),
        ({"members": ["tfidf", CAUSAL | {"journal": "j"}]}, "journal is for an api"),
        ({"members": ["tfidf", API | {"orders_must_agree": True}]}, "orders_must_agree is for an api with log_probs"),
        ({"members": ["tfidf", {"labels_from": "f", "calibration": ["temperature"]}]}, "calibration is for a model"),
        ({"members": [API]}, r"a model that is asked alone is no ensemble.*use teacher\.prompt"),
        ({"members": ["tfidf", API], "ask_again": 0.2}, r"ask_again: .* needs rounds: 2 or more.*leave ask_again out"),
        (
            {"members": ["tfidf", {"labels_from": "f"}], "rounds": 2, "ask_again": 0.2},
            "ask_again: to ask an API again needs a member with an api",
        ),
        ({"members": ["tfidf", API], "rounds": 2, "ask_again": 1.1}, "ask_again"),
    ],
)
def test_members_that_cannot_be_asked(ensemble: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked(ensemble)
